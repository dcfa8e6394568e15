"""Whole networks on one thread, against ONNX Runtime in the same run.

    python -m bench.models [--rounds N] [--only NAME] [--json FILE]

Each row is one network, dense or pruned by the compiler; the ratio is ONNX Runtime's time over
ours, the median over alternating rounds.
"""

import argparse
import json
import statistics
import tempfile
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
    ("resnet50", ""),
    ("resnet50", "bcr=0.9"),
    ("gru_2x1024", ""),
    ("gru_2x1024", "bcr=0.9"),
]


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
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    rows = []
    print(f"{'network':16}{'prune':10}{'onnxruntime ms':>15}{'coexec ms':>11}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for network, prune in CASES:
            if arguments.only in network:
                row = measure(network, prune, Path(folder), arguments.rounds)
                rows.append(row)
                print(
                    f"{row.network:16}{row.prune or 'dense':10}{row.onnxruntime_ms:15.2f}"
                    f"{row.coexec_ms:11.2f}{row.ratio:8.2f}",
                    flush=True,
                )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def measure(network: str, prune: str, folder: Path, rounds: int) -> Row:
    """Compile the network, then run it and ONNX Runtime by turns."""
    path = zoo.write(network, folder)
    target = folder / f"{network}-{prune or 'dense'}.coexec"
    rules = [parse_rule(prune)] if prune else []
    compile_model(path, target, CompileOptions(prune=rules))
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
