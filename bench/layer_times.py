"""One layer in two ways, by turns in one stretch: medians, with the quartiles of the ratios."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.compare import alternate
from coexec.compiler.describe import random_inputs
from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Graph, Layer
from coexec.compiler.tune.candidates import sparse_operands, with_layouts
from coexec.compiler.tune.foreign import Profiled, handed_over, interface, native_spans
from coexec.compiler.tune.trial import Trial, generated
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.onnx_layer import OnnxLayer
from coexec.kernels.program.runner import Runner
from coexec.protos import program_pb2

_ROUNDS_MIN, _ROUNDS_MAX = 5, 60
_SLOWER = 1.05
# ONNX Runtime's profile counts whole microseconds and drops the rest.
_PROFILE_LOST_US = 0.5


@dataclass(frozen=True, slots=True)
class Duel:
    """Median microseconds; ratio: theirs over ours, the median of the rounds' ratios; low, high:
    their quartiles."""

    ours_us: float
    theirs_us: float
    ratio: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """By more than 5 % in the median, and at all in three rounds of four."""
        return self.ratio * _SLOWER < 1.0 and self.high < 1.0

    @property
    def unclear(self) -> bool:
        """Slower in the median, but not in three rounds of four."""
        return self.ratio * _SLOWER < 1.0 <= self.high


def in_network(model: CompiledModel, graph: Graph, seconds: float) -> tuple[dict[int, Duel], float]:
    """By layer: here and in ONNX Runtime, each while the whole network runs, after an untimed run
    of its own. Layers that ONNX Runtime computes here or fuses there into others have none, nor
    have those that only rename an array here. And our median microseconds of all layers, ONNX
    Runtime's included."""
    runner, feed = Runner(model), random_inputs(model.program)
    spans = native_spans(graph)
    theirs = [Profiled(graph, span) for span in spans]
    ours: dict[int, list[float]] = {}
    sums_us: list[float] = []

    def one_round() -> None:
        runner.run(feed)
        runner.run(feed)
        sums_us.append(sum(runner.layer_us.values()))
        for i, us in runner.layer_us.items():
            ours.setdefault(i, []).append(us)
        for profiled in theirs:
            profiled.run()
            profiled.run()

    _repeat(one_round, seconds)
    found: dict[int, Duel] = {}
    for (begin, _), profiled in zip(spans, theirs, strict=True):
        for i, times in enumerate(profiled.layer_us(), begin):
            if any(times) and i in ours:
                found[i] = _duel(ours[i], [us + _PROFILE_LOST_US for us in times[1::2]])
    return found, statistics.median(sums_us)


def over_foreign(graph: Graph, i: int, seconds: float) -> Duel:
    """Layer i alone: here, and in ONNX Runtime from our arrays and back."""
    layer = graph.layers[i]
    (foreign,) = set(_given(graph, i).layers) - set(graph.layers)
    session = OnnxLayer(program_pb2.Layer(name=layer.name, onnx_model=foreign.onnx_model))
    rng = np.random.default_rng(0)
    arrays = [generated(value.type, rng) for value in interface(graph, (i, i + 1))[0]]
    return _by_turns(Trial(layer).native(layer)[0], lambda: session.run(arrays), seconds)


def when_given(model: CompiledModel, graph: Graph, i: int, layer_us: float, seconds: float) -> Duel:
    """Layer i, which takes layer_us here, against what the whole network then needs more or less
    when ONNX Runtime computes this layer of it."""
    feed = random_inputs(model.program)
    ours, theirs = runner_of(graph), runner_of(_given(graph, i))
    times = _alternated(lambda: ours.run(feed), lambda: theirs.run(feed), seconds)
    more_us = [b - a for a, b in zip(*times, strict=True)]
    return _duel([layer_us] * len(more_us), [layer_us + us for us in more_us])


def _given(graph: Graph, i: int) -> Graph:
    return handed_over(graph, [(i, i + 1)], "")


def over_dense(layer: Layer, seconds: float) -> Duel | None:
    """The layer alone, as it is and with dense weights; None when they are dense."""
    operands = [
        i for i in sparse_operands(layer) if (v := layer.inputs[i]) and v.type.layout != "dense"
    ]
    if not operands:
        return None
    trial = Trial(layer)
    dense = with_layouts(layer, tuple((i, "dense") for i in operands))
    return _by_turns(trial.native(layer)[0], trial.native(dense)[0], seconds)


def _by_turns(ours: Callable[[], object], theirs: Callable[[], object], seconds: float) -> Duel:
    return _duel(*_alternated(ours, theirs, seconds))


def _alternated(
    ours: Callable[[], object], theirs: Callable[[], object], seconds: float
) -> tuple[list[float], list[float]]:
    """Microseconds of both, round by round, each after an untimed run of its own."""
    runs = {"ours": ours, "theirs": theirs}
    start = time.perf_counter()
    alternate(runs, 1, warmup=1)
    rounds = int(seconds / (time.perf_counter() - start))
    times = alternate(runs, min(_ROUNDS_MAX, max(_ROUNDS_MIN, rounds)), settle=1)
    a, b = ([ms * 1e3 for ms in times[name]] for name in runs)
    return a, b


def _repeat(one_round: Callable[[], None], seconds: float) -> None:
    deadline = time.perf_counter() + seconds
    for done in range(_ROUNDS_MAX):
        if done >= _ROUNDS_MIN and time.perf_counter() > deadline:
            break
        one_round()


def _duel(ours: list[float], theirs: list[float]) -> Duel:
    """Both round by round."""
    ratios = [b / max(a, 1e-3) for a, b in zip(ours, theirs, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    return Duel(statistics.median(ours), statistics.median(theirs), ratio, low, high)
