"""What sharing saves: memory of models with equal weights, time of several heads on a backbone.

    python -m bench.reuse [--rounds N] [--json FILE]

Memory: each group of real networks that share weights is loaded into a daemon model by model; the
engine's private memory is read after each. Time: k heads on one backbone, as separate ONNX files,
in one call; against the backbone and the heads run alone, in process without any daemon, and as
models of their own in the same daemon.
"""

import argparse
import itertools
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import utils

from bench import zoo
from bench.compare import alternate
from bench.inputs import models_folder
from bench.serving import Daemon, repository, serve
from coexec.clients import Client
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

GROUPS = [
    ("face_yunet_n_320", "face_yunet_n_640"),
    ("xfeat_224x320", "xfeat_256x256"),
    ("face_ultra_rfb_320", "face_ultra_rfb_320_nopost"),
    ("face_ultra_rfb_320", "face_ultra_rfb_320_bnfolded"),
]
HEADS = ("classify", "locate", "count")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if models_folder().exists():
            for group in GROUPS:
                rows.append(_measure_memory(group, folder / "-".join(group)))
        else:
            print(f"no models in {models_folder()}: memory not measured; set COEXEC_MODELS")
        heads = _measure_heads(folder, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, **heads}, indent=1))


def _measure_memory(group: tuple[str, ...], folder: Path) -> dict[str, object]:
    """Kibibytes of weights, and what each model added to the engine's own memory."""
    models = repository(folder / "models", {n: models_folder() / f"{n}.onnx" for n in group})
    arguments = ("--model-repository", str(models), "--model-control", "explicit")
    with serve(folder / "daemon", *arguments) as daemon, Client(daemon.address) as client:
        private = [_private_kib(daemon)]
        for name in group:
            client.load(name)
            private.append(_private_kib(daemon))
        report = client.reuse_report()
        stored, alone = _weight_bytes(client)
        growth = [after - before for before, after in itertools.pairwise(private)]
        print(f"{' + '.join(group)}")
        print(
            f"  weights {stored / 1024:.0f} KiB stored, {alone / 1024:.0f} KiB if alone; "
            f"{len(report.tensors)} tensors and {len(report.segments)} segments shared, "
            f"{report.bytes_saved / 1024:.0f} KiB saved"
        )
        print(f"  engine's private memory grew by {growth} KiB, model by model")
        return {
            "models": " + ".join(group),
            "stored_kib": stored / 1024,
            "alone_kib": alone / 1024,
            "shared_tensors": len(report.tensors),
            "shared_segments": len(report.segments),
            "growth_kib": growth,
        }


def _private_kib(daemon: Daemon) -> int:
    """Memory that belongs to the engine alone."""
    info = daemon.engine().memory_full_info()
    return int(info.uss // 1024)


def _weight_bytes(client: Client) -> tuple[int, int]:
    engine = next(iter(client.watch_statistics())).engine
    return engine.weight_bytes, engine.weight_bytes_alone


def _measure_heads(folder: Path, rounds: int) -> dict[str, object]:
    """Milliseconds with reuse on and off, and whether the bits are equal."""
    models = _family(folder / "family")
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    served = repository(folder / "served", models)
    alone = _in_process(models, folder, x)
    full = [f"full_{head}" for head in HEADS]
    answers, facts = {}, {}
    for flags in ((), ("--no-reuse",)):
        place = folder / ("daemon" + "".join(flags))
        arguments = ("--model-repository", str(served), "--cores", "0", *flags)
        with serve(place, *arguments) as daemon, Client(daemon.address) as client:
            parts = {
                "in process": alone,
                "one call": lambda: client.infer_many(full, {"input": x}),
                "a call each": lambda: _call_each(client, x),
            }
            times = alternate(parts, rounds, settle=1)
            answers[flags] = client.infer_many(full, {"input": x})
        label = "reuse off" if flags else "reuse on"
        ms = {name: statistics.median(values) for name, values in times.items()}
        print(
            f"{label}: {len(HEADS)} heads in one call {ms['one call']:.2f} ms; backbone and heads "
            f"by a call each {ms['a call each']:.2f} ms, {ms['one call'] / ms['a call each']:.2f}x;"
            f" in process {ms['in process']:.2f} ms, {ms['one call'] / ms['in process']:.2f}x"
        )
        facts |= {f"{label}, {name}, ms": value for name, value in ms.items()}
    equal = all(
        np.array_equal(answers[()][name][key], answers[("--no-reuse",)][name][key])
        for name in full
        for key in answers[()][name]
    )
    print(f"bits equal with reuse on and off: {equal}")
    return facts | {"bits_equal": equal}


def _in_process(models: dict[str, Path], folder: Path, x: np.ndarray) -> Callable[[], object]:
    """The backbone, then each head, without any daemon."""
    backbone = _runner(models["backbone"], folder)
    heads = [_runner(models[f"head_{head}"], folder) for head in HEADS]

    def run() -> None:
        feature = backbone.run({"input": x})
        for head in heads:
            head.run(feature)

    return run


def _call_each(client: Client, x: np.ndarray) -> None:
    feature = dict(client.infer("backbone", {"input": x}))
    for head in HEADS:
        client.infer(f"head_{head}", feature)


def _runner(path: Path, folder: Path) -> Runner:
    target = folder / f"{path.stem}.coexec"
    compile_model(path, target, CompileOptions())
    return Runner(format.load(target))


def _family(folder: Path) -> dict[str, Path]:
    """The backbone, each head alone, and backbone + head as an independent file each."""
    folder.mkdir(parents=True)
    backbone = zoo.mobilenet_v2()
    cut = backbone.graph.node[-4].output[0]  # the last feature map, before the classifier
    paths = {}
    for k, head in enumerate(HEADS):
        full = zoo.mobilenet_v2(head_seed=k + 1)
        paths[f"full_{head}"] = folder / f"full_{head}.onnx"
        onnx.save(full, paths[f"full_{head}"])
        paths[f"head_{head}"] = folder / f"head_{head}.onnx"
        outputs = [full.graph.output[0].name]
        utils.extract_model(str(paths[f"full_{head}"]), str(paths[f"head_{head}"]), [cut], outputs)
    paths["backbone"] = folder / "backbone.onnx"
    utils.extract_model(str(paths["full_classify"]), str(paths["backbone"]), ["input"], [cut])
    return paths


if __name__ == "__main__":
    main()
