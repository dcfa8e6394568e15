"""The zoo's networks on coexec and on other runtimes, one thread, side by side in one run.

    python -m bench.peers [--only NAME] [--prune RULE]... [--peer NAME=ENVIRONMENT]...

ONNX Runtime is always there. The others each want a virtual environment of their own, since their
pins collide: `--peer openvino=DIR`, `openvino_bf16=DIR`, `deepsparse=DIR`, `mnn=DIR`, where DIR
was made by `python3 -m venv DIR && DIR/bin/pip install openvino` (or deepsparse==1.8.0, MNN). Every
runtime has a process of its own and is given the same file, with the same zeros; they take turns,
and a ratio is the median over the rounds of the peer's time over ours. `differs` is the largest
difference of an output from ONNX Runtime's, relative to its largest value: a fast wrong answer
would show there.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx

from bench import peer_worker, zoo
from bench.compare import ratio
from bench.pruned import write_pruned

OURS = "coexec"
REFERENCE = "onnxruntime"


@dataclass(frozen=True, slots=True)
class Row:
    """ratio: the peer's time over ours; above 1 we are faster."""

    network: str
    prune: str
    runtime: str
    median_ms: float
    ratio: float
    differs: float


class _Worker:
    """A runtime's process, ready to run its network."""

    def __init__(self, runtime: str, python: str, model: Path, inputs: Path) -> None:
        folder = model.parent / runtime  # what a runtime writes beside its model
        folder.mkdir()
        own = Path(shutil.copy(model, folder))
        self._outputs = folder / "outputs.npz"
        command = [python, peer_worker.__file__, runtime, str(own), str(inputs)]
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [*command, str(self._outputs)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:  # a runtime may greet first
            if line == "ready\n":
                return
        self._log.seek(0)
        raise RuntimeError(f"{runtime} ended: {self._log.read()[-2000:]}")

    def run(self) -> float:
        """Milliseconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def outputs(self) -> list[np.ndarray]:
        with np.load(self._outputs) as stored:
            return [stored[name] for name in stored.files]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._log.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--prune", action="append", default=[], metavar="RULE")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=ENVIRONMENT")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    pythons = {OURS: sys.executable, REFERENCE: sys.executable} | dict(
        _peer(parser, text) for text in arguments.peer
    )
    rows = []
    print(f"{'network':16}{'zeros':20}{'runtime':16}{'ms':>9}{'ratio':>8}{'differs':>10}")
    for network in (name for name in zoo.ZOO if arguments.only in name):
        for row in measure(network, arguments.prune, pythons, arguments.rounds):
            rows.append(row)
            print(
                f"{row.network:16}{row.prune or 'none':20}{row.runtime:16}{row.median_ms:9.2f}"
                f"{row.ratio:8.2f}{row.differs:10.1e}",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def _peer(parser: argparse.ArgumentParser, text: str) -> tuple[str, str]:
    name, _, environment = text.partition("=")
    python = Path(environment) / "bin" / "python"
    if name not in peer_worker.RUNTIMES or not python.exists():
        known = ", ".join(peer_worker.RUNTIMES)
        parser.error(f"--peer {text}: NAME=DIR, NAME one of {known}, DIR a virtual environment")
    return name, str(python)


def measure(network: str, rules: list[str], pythons: dict[str, str], rounds: int) -> Iterator[Row]:
    """A row per runtime that takes the network; another's refusal goes to stderr."""
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        model = zoo.write(network, folder)
        if rules:
            write_pruned(model, rules, folder / "pruned.onnx")
            model = folder / "pruned.onnx"
        inputs = folder / "inputs.npz"
        np.savez(inputs, **_feed(model))
        workers: dict[str, _Worker] = {}
        for runtime, python in pythons.items():
            try:
                workers[runtime] = _Worker(runtime, python, model, inputs)
            except RuntimeError as error:
                print(f"{network}: {error}", file=sys.stderr)
                continue
            stack.callback(workers[runtime].close)
        times = _take_turns(workers, rounds)
        expected = workers[REFERENCE].outputs()
        for runtime, worker in workers.items():
            yield Row(
                network,
                " ".join(rules),
                runtime,
                statistics.median(times[runtime]),
                ratio(times, runtime, OURS),
                _difference(worker.outputs(), expected),
            )


def _take_turns(workers: dict[str, _Worker], rounds: int) -> dict[str, list[float]]:
    names = list(workers)
    for worker in workers.values():
        for _ in range(3):
            worker.run()
    times: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            workers[name].run()  # its caches, after the others' turns
            times[name].append(workers[name].run())
    return times


def _feed(model: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        value.name: rng.standard_normal(
            [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        ).astype(np.float32)
        for value in onnx.load(model).graph.input
    }


def _difference(got: list[np.ndarray], expected: list[np.ndarray]) -> float:
    pairs = zip(got, expected, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


if __name__ == "__main__":
    main()
