"""One layer in two ways, by turns in one stretch: medians, with the quartiles of the ratios."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

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
_LOOKS_WHEN_GIVEN = 3
_ROUNDS_MIN_WHEN_GIVEN = 9  # the quartiles decide
_NEIGHBOURS = 2  # on each side of a layer
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
    """Layer i, which takes layer_us here, against what its part of the network, the layers around
    it too, then needs more or less when ONNX Runtime computes this one of them. Before each timed
    run of the part the network runs, untimed, so that the caches hold what they would. Where the
    memory of a program comes to lie makes it faster or slower by some percent; so what looks
    slower is looked at again with both parts made anew, and is slower when every look says so."""
    network, feed = Runner(model), random_inputs(model.program)
    part = _part_around(graph, i)
    for _ in range(_LOOKS_WHEN_GIVEN):
        times = _alternated(
            _ready(part),
            _ready(_given(part, part.layers.index(graph.layers[i]))),
            seconds,
            partial(network.run, feed),
            _ROUNDS_MIN_WHEN_GIVEN,
        )
        more_us = [b - a for a, b in zip(*times, strict=True)]
        duel = _duel([layer_us] * len(more_us), [layer_us + us for us in more_us])
        if not duel.slower:
            break
    return duel


def _part_around(graph: Graph, i: int) -> Graph:
    """Native layer i with its native neighbours."""
    ((begin, end),) = (span for span in native_spans(graph) if span[0] <= i < span[1])
    span = max(begin, i - _NEIGHBOURS), min(end, i + 1 + _NEIGHBOURS)
    inputs, outputs = interface(graph, span)
    return Graph(graph.name, inputs, outputs, graph.layers[span[0] : span[1]])


def _ready(graph: Graph) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    feed = {value.name: generated(value.type, rng) for value in graph.inputs}
    return partial(runner_of(graph).run, feed)


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
    ours: Callable[[], object],
    theirs: Callable[[], object],
    seconds: float,
    before: Callable[[], object] | None = None,
    rounds_min: int = _ROUNDS_MIN,
) -> tuple[list[float], list[float]]:
    """Microseconds of both, round by round, each after an untimed run of its own, or of
    `before`."""
    runs = (ours, theirs)
    times: tuple[list[float], list[float]] = ([], [])
    for run in runs:
        run()  # lazy work of the first time

    def one_round() -> None:
        first = len(times[0]) % 2
        for side in (first, 1 - first):
            (before or runs[side])()
            start = time.perf_counter()
            runs[side]()
            times[side].append((time.perf_counter() - start) * 1e6)

    _repeat(one_round, seconds, rounds_min)
    return times


def _repeat(one_round: Callable[[], None], seconds: float, rounds_min: int = _ROUNDS_MIN) -> None:
    deadline = time.perf_counter() + seconds
    for done in range(_ROUNDS_MAX):
        if done >= rounds_min and time.perf_counter() > deadline:
            break
        one_round()


def _duel(ours: list[float], theirs: list[float]) -> Duel:
    """Both round by round."""
    ratios = [b / max(a, 1e-3) for a, b in zip(ours, theirs, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4)
    return Duel(statistics.median(ours), statistics.median(theirs), ratio, low, high)
