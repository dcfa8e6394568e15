"""A ViT with and without a fixed mask that keeps 10 % of the scores, one thread, by turns:
attention alone and end to end.

    python -m bench.attention [--rounds N]
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from bench import zoo
from bench.compare import alternate, ratio
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

NETWORKS = ("vit_tiny", "vit_tiny_masked90")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    alone: dict[str, list[float]] = {name: [] for name in NETWORKS}
    with tempfile.TemporaryDirectory() as folder:
        runners = {name: _compiled(name, Path(folder)) for name in NETWORKS}

    def run(name: str) -> None:
        runner, layers = runners[name]
        runner.run({"input": x})
        alone[name].append(sum(runner.layer_us[i] for i in layers) / 1e3)

    whole = alternate({name: lambda name=name: run(name) for name in NETWORKS}, rounds)
    print(f"{'':14}{'dense ms':>10}{'masked ms':>11}{'ratio':>7}")
    for what, times in (("attention", alone), ("end to end", whole)):
        dense, masked = (statistics.median(times[name]) for name in NETWORKS)
        print(f"{what:14}{dense:10.2f}{masked:11.2f}{ratio(times, *NETWORKS):7.2f}")


def _compiled(name: str, folder: Path) -> tuple[Runner, list[int]]:
    """The network made ready to run, and which of its layers are attention."""
    compile_model(zoo.write(name, folder), folder / f"{name}.coexec", CompileOptions(profile=False))
    model = format.load(folder / f"{name}.coexec")
    layers = [i for i, layer in enumerate(model.program.layers) if layer.op == "Attention"]
    return Runner(model), layers


if __name__ == "__main__":
    main()
