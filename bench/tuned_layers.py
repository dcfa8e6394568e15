"""Which layers of tuned networks are slower than their dense form, or than ONNX Runtime's.

    python -m bench.tuned_layers [--tune fast|full] [--only TEXT] [--json FILE]

The networks are those of bench/zoo, dense and pruned. The times are those the tuner measured and
stored in the compiled model: ONNX Runtime's for a layer is what it takes inside its own run of the
whole network. A layer counts as slower past 5 %; the bar is none.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import zoo
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import parse_rule
from coexec.compiler.tune import EFFORTS
from coexec.kernels.program import format
from coexec.protos import program_pb2

PRUNED = ("", "bcr=0.9", "unstructured=0.9", "unstructured=0.6")
_SLOWER = 1.05


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds, 0 when it was not measured. over: "dense" or "onnxruntime", the faster."""

    network: str
    prune: str
    layer: str
    op: str
    taken: str
    taken_us: float
    over: str
    over_us: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tune", choices=list(EFFORTS), default="full")
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for network in zoo.ZOO:
            for prune in PRUNED if arguments.only in network else ():
                program = tuned(network, prune, arguments.tune, Path(folder))
                slower = list(slower_layers(network, prune, program))
                rows += slower
                print(
                    f"{network:16}{prune or 'dense':18}{len(slower):4} of {len(program.layers)} "
                    "layers are slower",
                    flush=True,
                )
                for row in slower:
                    print(
                        f"    {row.layer:24}{row.op:16}{row.taken:16}{row.taken_us:10.1f} us, "
                        f"{row.over} {row.over_us:.1f} us"
                    )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def tuned(network: str, prune: str, tune: str, folder: Path) -> program_pb2.Program:
    target = folder / f"{network}-{prune or 'dense'}.coexec"
    rules = [parse_rule(prune)] if prune else []
    compile_model(
        zoo.write(network, folder),
        target,
        CompileOptions(prune=rules, profile=False, tune=tune, tuning=folder / "tuning"),
    )
    return format.load(target).program


def slower_layers(network: str, prune: str, program: program_pb2.Program) -> Iterator[Row]:
    for layer in program.layers:
        times = {c.name: c.measured_us for c in layer.choice.candidates if c.measured_us}
        taken = layer.choice.taken
        others = {name: times[name] for name in ("dense", "onnxruntime") if name in times}
        if layer.op == "OnnxRuntime" or taken not in times or not others:
            continue
        over = min(others, key=lambda name: others[name])
        if times[taken] > _SLOWER * others[over]:
            yield Row(network, prune, layer.name, layer.op, taken, times[taken], over, others[over])


if __name__ == "__main__":
    main()
