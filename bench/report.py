"""A page of what the benches measured: the machine, the commands, a table and a plot each."""

import json
import os
import platform
from pathlib import Path
from typing import Any

import onnxruntime
import psutil

from bench.roofline import plot_roofline
from coexec.kernels import _kernels

_WORDS = {
    "kernels": "Convolution and matrix kernels, by layout: GFLOP/s on kept weights, one thread.",
    "models": "Whole networks of `bench/zoo`, dense and pruned, over ONNX Runtime, one thread.",
    "attention": "A ViT with and without a fixed mask that keeps a tenth of scores, one thread.",
    "scaling": "What zeros and a second core are worth against coexec itself. Best ratio: of each "
    "side's least time; beside busy neighbours it says more of two cores than the median.",
    "real_speed": "Networks of public repositories as they are, over ONNX Runtime, one thread.",
    "tuned_layers": "Layers of tuned networks that two looks found more than 5 % slower than ONNX "
    "Runtime's kernel inside its own run of the network (lost: by those together), than the layer "
    "alone in ONNX Runtime, than the layer given to it in our program, and than their dense form.",
    "roundtrip": "A call of an identity model with 600 KB in and out.",
    "reuse": "Several heads on one backbone, and equal weights of different models.",
    "pruning": "Accuracy of the demo's networks pruned on, by magnitude and by least squares; lost "
    "share: of what magnitude loses, what least squares loses.",
    "peers": "The same files on other runtimes, one thread; ratio: their time over ours.",
}
_SUMMARY = ("rows", "commands", "layers")


def write_page(path: Path, folder: Path, quick: bool) -> None:
    """A Markdown page from the JSON files of `folder`, with plots beside it."""
    lines = ["# Benchmarks", "", f"Measured on {_machine()}.", ""]
    command = "python -m bench" + (" --quick" if quick else "")
    lines += [
        f"Made by `{command} --write {path.name}`. Ratios are medians over alternating rounds of "
        "one run on one machine; above 1 coexec is faster. Other machines give other figures: "
        "run it on yours.",
    ]
    for part, words in _WORDS.items():
        file = folder / f"{part}.json"
        if not file.exists():
            continue
        report = json.loads(file.read_text())
        rows = report if isinstance(report, list) else report["rows"]
        lines += ["", f"## {part}", "", words, "", f"`python -m bench.{part}`", ""]
        lines += _table(rows)
        if isinstance(report, dict):
            facts = {k: v for k, v in report.items() if k not in _SUMMARY}
            lines += ["", "; ".join(f"{k.replace('_', ' ')}: {_text(v)}" for k, v in facts.items())]
        if _plot(rows, path.parent / f"{path.stem}-{part}.png"):
            lines += ["", f"![{part}]({path.stem}-{part}.png)"]
        if part == "kernels" and plot_roofline(report, path.parent / f"{path.stem}-roofline.png"):
            lines += ["", f"![roofline]({path.stem}-roofline.png)"]
    path.write_text("\n".join(lines) + "\n")


def _machine() -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gib = round(psutil.virtual_memory().total / 2**30)
    return (
        f"{model}, {os.cpu_count()} cores, {memory_gib} GiB, kernels for "
        f"{_kernels.host_isa()}, ONNX Runtime {onnxruntime.__version__}"
    )


def _table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["Nothing was measured."]
    names = list(rows[0])
    head = "| " + " | ".join(name.replace("_", " ") for name in names) + " |"
    body = ["| " + " | ".join(_text(row[name]) for name in names) + " |" for row in rows]
    return [head, "|" + " --- |" * len(names), *body]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 1e-2 else f"{value:.2f}"
    return str(value)


def _plot(rows: list[dict[str, Any]], path: Path) -> bool:
    """Bars of the rows' ratios; False where they have none or matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    shown = [row for row in rows if "ratio" in row]
    if not shown:
        return False
    labels = [" ".join(v for v in row.values() if isinstance(v, str) and v) for row in shown]
    figure = Figure(figsize=(8, 0.8 + 0.24 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.barh(labels, [row["ratio"] for row in shown])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("times faster")
    figure.savefig(path, dpi=100)
    return True
