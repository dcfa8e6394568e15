"""What one-shot pruning costs the demo's networks: accuracy dense, pruned by magnitude, and
pruned by least squares on calibration inputs, at equal rates.

    python -m bench.pruning [--densities 0.1,0.08] [--only sound_command] [--json FILE]

The networks come pruned (daemon/demo/networks: 12 to 40 % of most weights are left); a density
here is what is left after pruning on. Calibration and test scenes are drawn with different
seeds. A network's score is the demo's: share of right answers, or intersection over union.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import PruneRule
from coexec.daemon.demo import sound, world
from coexec.daemon.demo.play import HEADS, SOUND, Array
from coexec.daemon.demo.score import view_score
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

_NETWORKS = Path(__file__).parent.parent / "daemon" / "demo" / "networks"
_CALIBRATION_SEED, _TEST_SEED = 5, 99
_LOSS_MIN = 0.02  # below it, one test more or less decides


@dataclass(frozen=True)
class Row:
    """One network pruned at one rate. seconds: of pruning by least squares."""

    network: str
    scheme: str
    density: float
    dense: float
    magnitude: float
    reconstructed: float
    seconds: float

    @property
    def lost_share(self) -> float:
        """Of the accuracy that magnitude loses, what reconstruction loses."""
        lost = self.dense - self.magnitude
        return (self.dense - self.reconstructed) / lost if lost > 0 else 0.0


class Task:
    """A network with inputs it is fitted to and inputs it is judged by."""

    def __init__(self, name: str, calibration: int, tests: int) -> None:
        self.name = name
        self.input = "features" if name == SOUND else "image"
        self._truth = _draw(name, tests, _TEST_SEED)
        self._tests = [_input_of(truth) for truth in self._truth]
        self.calibration = np.stack(
            [_input_of(truth) for truth in _draw(name, calibration, _CALIBRATION_SEED)]
        )

    def score(self, options: CompileOptions) -> tuple[float, float]:
        """Of the network compiled so, and the seconds its pruning took."""
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "network.coexec"
            report = compile_model(_NETWORKS / f"{self.name}.onnx", target, options)
            runner = Runner(format.load(target))
            scores = []
            for truth, array in zip(self._truth, self._tests, strict=True):
                (output,) = runner.run({self.input: array}).values()
                if isinstance(truth, sound.Heard):
                    scores.append(float(output[0].argmax() == truth.kind))
                else:
                    scores.append(view_score(self.name, output[0], truth))
        return float(np.mean(scores)), report.seconds.get("prune", 0.0)


def _draw(name: str, count: int, seed: int) -> Sequence[world.View | sound.Heard]:
    if name == SOUND:
        microphone = sound.microphone(seed, 2.0)
        found: list[sound.Heard] = []
        while len(found) < count:
            heard = next(microphone)
            if heard.kind is not None:
                found.append(heard)
        return found
    rng = np.random.default_rng(seed)
    return [world.render(world.random_scene(rng), rng) for _ in range(count)]


def _input_of(truth: world.View | sound.Heard) -> Array:
    return (truth.features if isinstance(truth, sound.Heard) else truth.image)[None]


def measure(task: Task, schemes: Sequence[str], densities: Sequence[float]) -> list[Row]:
    """A row per scheme and density."""
    shapes = {} if task.name == SOUND else {task.input: task.calibration.shape[1:]}
    dense, _ = task.score(CompileOptions(shapes=shapes, profile=False))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        calibration = Path(folder) / "calibration.npz"
        np.savez(calibration, **{task.input: task.calibration})
        for scheme in schemes:
            for density in densities:
                rules = [PruneRule(scheme, 1.0 - density)]
                plain = CompileOptions(shapes=shapes, prune=rules, profile=False)
                magnitude, _ = task.score(plain)
                fitted, seconds = task.score(
                    CompileOptions(
                        shapes=shapes, prune=rules, profile=False, calibration=calibration
                    )
                )
                row = Row(task.name, scheme, density, dense, magnitude, fitted, seconds)
                print(_line(row), flush=True)
                rows.append(row)
    return rows


def _line(row: Row) -> str:
    return (
        f"{row.network:15} {row.scheme:13} {row.density:7.2f}  {row.dense:6.3f} "
        f"{row.magnitude:10.3f} {row.reconstructed:14.3f} {row.lost_share:11.2f} "
        f"{row.seconds:8.1f}"
    )


def main() -> None:
    """Measure, print a table, and say how often the loss is at most half of magnitude's."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--only", default=",".join((*HEADS, SOUND)), help="networks, by comma")
    parser.add_argument("--schemes", default="unstructured,bcr")
    parser.add_argument("--densities", default="0.12,0.1,0.08,0.06")
    parser.add_argument("--calibration", type=int, default=64, help="inputs; default: 64")
    parser.add_argument("--tests", type=int, default=400, help="inputs; default: 400")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    start = time.perf_counter()
    head = "density   dense  magnitude  reconstructed  lost share  seconds"
    print(f"{'network':15} {'scheme':13} {head}")
    densities = [float(text) for text in options.densities.split(",")]
    rows = []
    for name in options.only.split(","):
        task = Task(name, options.calibration, options.tests)
        rows += measure(task, options.schemes.split(","), densities)
    if options.json:
        facts = [{**asdict(row), "lost_share": row.lost_share} for row in rows]
        options.json.write_text(json.dumps(facts))
    judged = [row for row in rows if row.dense - row.magnitude > _LOSS_MIN]
    held = sum(row.lost_share <= 0.5 for row in judged)
    print(
        f"at most half of magnitude's loss: {held} of {len(judged)} where that is over "
        f"{_LOSS_MIN}; {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
