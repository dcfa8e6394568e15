"""Latency of one model in this process, by turns with ONNX Runtime when asked."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnxruntime

from coexec.compiler.describe import random_inputs
from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import import Shape
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.runner import Runner

_SECONDS = 2.0
_ROUNDS_MIN, _ROUNDS_MAX = 10, 2000
_INPUT_SETS = 4

_Run = Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall-clock milliseconds of one run."""

    median_ms: float
    p99_ms: float
    rounds: int


def bench(
    model: Path,
    shapes: Mapping[str, Shape],
    threads: int,
    against: str = "",
    tuning: Path | None = None,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Timing]:
    """Timings by program: "coexec", and "onnxruntime" when that is `against`. model: an .onnx
    file, compiled first with what the folder `tuning` knows, or a compiled folder. given: arrays
    for some inputs, which an .onnx file is compiled for; the others are random. Raises
    CompileError, FormatError or RunError when the model cannot be run, or has no ONNX file to
    compare with."""
    if against and model.is_dir():
        raise CompileError(
            f"{model}: a compiled model cannot run in {against} for comparison; give the .onnx "
            "file, which is compiled and then runs both ways by turns"
        )
    shapes = {**{name: array.shape for name, array in given.items()}, **shapes}
    with tempfile.TemporaryDirectory() as folder:
        compiled = model
        if not model.is_dir():
            compiled = Path(folder) / f"{model.stem}.coexec"
            compile_model(
                model, compiled, CompileOptions(shapes=shapes, profile=False, tuning=tuning)
            )
        loaded = format.load(compiled)
        runner = Runner(loaded, threads)
        runs: dict[str, _Run] = {"coexec": runner.run}
        if against:
            session = _session(model, threads)
            runs[against] = lambda inputs: session.run(None, inputs)
        feeds = [{**random_inputs(loaded.program, i), **given} for i in range(_INPUT_SETS)]
        try:
            return _by_turns(runs, feeds)
        except RunError as error:
            if made := [name for name in feeds[0] if name not in given]:
                raise CompileError(
                    f"{error}; inputs were random: {', '.join(made)}; "
                    "--input NAME=FILE gives others"
                ) from error
            raise


def _by_turns(runs: Mapping[str, _Run], feeds: list[dict[str, Any]]) -> dict[str, Timing]:
    """Every round runs each program once on the same inputs, in changing order."""
    for run in runs.values():
        run(feeds[0])
    times: dict[str, list[float]] = {name: [] for name in runs}
    deadline = time.perf_counter() + _SECONDS * len(runs)
    rounds = 0
    while rounds < _ROUNDS_MIN or (rounds < _ROUNDS_MAX and time.perf_counter() < deadline):
        order = list(runs) if rounds % 2 else list(runs)[::-1]
        for name in order:
            start = time.perf_counter()
            runs[name](feeds[rounds % len(feeds)])
            times[name].append((time.perf_counter() - start) * 1e3)
        rounds += 1
    return {
        name: Timing(statistics.median(values), _p99(values), rounds)
        for name, values in times.items()
    }


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.99 * len(values)))]


def _session(model: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
