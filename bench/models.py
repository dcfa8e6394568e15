"""Whole networks on one thread, against ONNX Runtime in the same run.

    python -m bench.models [--rounds N] [--settle N] [--only NAME] [--sweep] [--json FILE]

Each row is one network, dense or pruned by the compiler; the ratio is ONNX Runtime's time over
ours, the median over alternating rounds. In turn about, each run finds what the other left in the
caches; with --settle 1 a run of its own comes first, untimed, as in an app that runs one network.
--sweep takes every network of the zoo, dense and with each scheme that suits some of its layers at
50 to 95 %, which is long.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from bench import zoo
from bench.compare import alternate, ratio
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import parse_rule
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

CASES = [
    ("mobilenet_v2", ""),
    ("mobilenet_v2", "bcr=0.9"),
    ("resnet50", ""),
    ("resnet50", "bcr=0.9"),
    ("resnet50", "unstructured=0.9"),
    ("vgg16", ""),
    ("vgg16", "bcr=0.9 pattern=0.8765"),  # 8.1x where kernels are 3x3
    ("c3d", ""),
    ("c3d", "kgs=0.667"),
    ("r2plus1d18", ""),
    ("r2plus1d18", "kgs=0.667"),
    ("gru_2x1024", ""),
    ("gru_2x1024", "bcr=0.9"),
    ("lstm_2x1024", ""),
    ("lstm_2x1024", "bcr=0.9"),
    ("vit_tiny", ""),
    ("vit_tiny_masked90", ""),
]

# A pattern leaves four taps of nine, so no fewer than 5/9 of the weights go; nm goes by quarters.
SWEEP_RATES = {
    "bcr": (0.5, 0.7, 0.8, 0.9, 0.95),
    "unstructured": (0.5, 0.7, 0.8, 0.9, 0.95),
    "pattern": (0.7, 0.8, 0.9, 0.95),
    "nm": (0.5, 0.75),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Median milliseconds and their ratio (above 1: faster than ONNX Runtime)."""

    network: str
    prune: str
    onnxruntime_ms: float
    coexec_ms: float
    ratio: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--settle", type=int, default=0, help="untimed runs before a timed one")
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--sweep", action="store_true", help="every network, scheme and rate")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    rows = []
    print(f"{'network':18}{'prune':24}{'onnxruntime ms':>15}{'coexec ms':>11}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for network, prune in _sweep() if arguments.sweep else CASES:
            if arguments.only not in network:
                continue
            if row := measure(network, prune, Path(folder), arguments.rounds, arguments.settle):
                rows.append(row)
                print(
                    f"{row.network:18}{row.prune or 'dense':24}{row.onnxruntime_ms:15.2f}"
                    f"{row.coexec_ms:11.2f}{row.ratio:8.2f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _sweep() -> Iterator[tuple[str, str]]:
    for network in zoo.ZOO:
        yield network, ""
        for scheme, rates in SWEEP_RATES.items():
            for rate in rates:
                yield network, f"{scheme}={rate}"


def measure(network: str, prune: str, folder: Path, rounds: int, settle: int) -> Row | None:
    """Compile the network, then run it and ONNX Runtime by turns. None: the rule suits no layer."""
    path = zoo.write(network, folder)
    target = folder / f"{network}-{prune or 'dense'}.coexec"
    rules = [parse_rule(rule) for rule in prune.split()]
    report = compile_model(path, target, CompileOptions(prune=rules, profile=False))
    if rules and report.warnings:  # that nothing was pruned
        return None
    runner = Runner(format.load(target))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    value = session.get_inputs()[0]
    x = np.random.default_rng(0).standard_normal(value.shape).astype(np.float32)
    feed = {value.name: x}
    times = alternate(
        {"onnxruntime": lambda: session.run(None, feed), "coexec": lambda: runner.run(feed)},
        rounds,
        settle=settle,
    )
    medians = {name: statistics.median(values) for name, values in times.items()}
    return Row(
        network,
        prune,
        medians["onnxruntime"],
        medians["coexec"],
        ratio(times, "onnxruntime", "coexec"),
    )


if __name__ == "__main__":
    main()
