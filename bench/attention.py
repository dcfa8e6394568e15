"""A ViT with and without a fixed mask that keeps 10 % of the scores, one thread, by turns:
attention alone and end to end.

    python -m bench.attention [--rounds N] [--json FILE]
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench import zoo
from bench.compare import alternate, ratio
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

NETWORKS = ("vit_tiny", "vit_tiny_masked90")


@dataclass(frozen=True, slots=True)
class Row:
    """Median milliseconds, and how many times faster the mask makes it."""

    what: str
    dense_ms: float
    masked_ms: float
    ratio: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    alone: dict[str, list[float]] = {name: [] for name in NETWORKS}
    with tempfile.TemporaryDirectory() as folder:
        runners = {name: _compiled(name, Path(folder)) for name in NETWORKS}

    def run(name: str) -> None:
        runner, layers = runners[name]
        runner.run({"input": x})
        alone[name].append(sum(runner.layer_us[i] for i in layers) / 1e3)

    whole = alternate({name: lambda name=name: run(name) for name in NETWORKS}, arguments.rounds)
    print(f"{'':14}{'dense ms':>10}{'masked ms':>11}{'ratio':>7}")
    rows = []
    for what, times in (("attention", alone), ("end to end", whole)):
        medians = [statistics.median(times[name]) for name in NETWORKS]
        row = Row(what, *medians, ratio(times, *NETWORKS))
        rows.append(row)
        print(f"{what:14}{row.dense_ms:10.2f}{row.masked_ms:11.2f}{row.ratio:7.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _compiled(name: str, folder: Path) -> tuple[Runner, list[int]]:
    """The network made ready to run, and which of its layers are attention."""
    compile_model(zoo.write(name, folder), folder / f"{name}.coexec", CompileOptions(profile=False))
    model = format.load(folder / f"{name}.coexec")
    layers = [i for i, layer in enumerate(model.program.layers) if layer.op == "Attention"]
    return Runner(model), layers


if __name__ == "__main__":
    main()
