"""Which parts of a model ONNX Runtime computes: none, all, or some runs of layers; measured on
the model as a whole, since what changing sides costs shows only there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, Graph, Layer
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.program import cost
from coexec.compiler.tune.cache import Tuning
from coexec.compiler.tune.candidates import sparse_operands
from coexec.compiler.tune.choice import FOREIGN, IN_ITS_RUN, NATIVE, Candidate, Choice
from coexec.compiler.tune.effort import Effort
from coexec.compiler.tune.foreign import (
    Span,
    handed_over,
    native_spans,
    profiled_us,
    reasons,
)
from coexec.compiler.tune.key import graph_key, layer_key
from coexec.compiler.tune.measure import Budget, Race, Run, a_while, pick, race, timed
from coexec.compiler.tune.spans import cheapest_spans, crossing_us
from coexec.compiler.tune.trial import disagreement, generated
from coexec.kernels.program.errors import RunError

# ONNX Runtime's part can be neither shared between models nor preempted, so it must be worth it.
_MARGIN = 0.02
# Whole networks amplify what single layers differ by.
_TOLERANCE = 1e-2
# How many times as much as it should changing sides costs, and ONNX Runtime takes: as measured, and
# with caution.
_PROPOSED_AT = ((1.0, 1.0), (3.0, 1.1))


@dataclass(frozen=True, slots=True)
class Backends:
    """graph: with the layers that ONNX Runtime computes in its hands. choices: by layer name,
    those of the graph given for the layers that stay native."""

    graph: Graph
    choices: dict[str, Choice]


def tune_backends(
    graph: Graph,
    whole_model: bytes,
    effort: Effort | None,
    tuning: Tuning,
    choices: dict[str, Choice],
    race: Race = race,
) -> Backends:
    """whole_model: the graph as an ONNX model of equal inputs and outputs, empty when there is
    none. Without an effort nothing is measured: what the cache does not know stays native."""
    if not native_spans(graph):
        return Backends(graph, choices)
    key = _key(graph)
    choice = tuning.find(key, effort.name if effort else "")
    if choice is None and effort is not None:
        try:
            choice, layers = _measured(graph, whole_model, effort, race)
        except RunError:  # the model does not take generated inputs
            return Backends(graph, choices)
        tuning.keep(key, choice)
        choices = _with_layers(graph, tuning, choices, layers, effort)
    try:
        made = None if choice is None else _variant(graph, whole_model, choice.taken)
    except RunError:  # it was measured with smaller weights
        made = None
    if choice is None or made is None:
        return Backends(graph, choices)
    kept = {layer.name for layer in made.layers}
    tried = {layer.name: choice for layer in made.layers if layer not in graph.layers}
    return Backends(made, {**{n: c for n, c in choices.items() if n in kept}, **tried})


def _key(graph: Graph) -> str:
    number = {value: i for i, value in enumerate(graph.inputs)}
    rows = []
    for layer in graph.layers:
        for value in (*layer.inputs, *layer.outputs):
            if value is not None:
                number.setdefault(value, len(number))
        layouts = [v.type.layout for v in layer.inputs if v is not None and v.constant is not None]
        inner = (
            hashlib.blake2b(layer.onnx_model, digest_size=20).hexdigest()
            if layer.op == ONNX_RUNTIME
            else layer_key(layer)
        )
        row = [[number[v] for v in side if v is not None] for side in (layer.inputs, layer.outputs)]
        rows.append((inner + "".join(layouts), row[0], row[1]))
    return graph_key(rows, [number.get(v, -1) for v in graph.outputs])


def _variant(graph: Graph, whole_model: bytes, name: str) -> Graph | None:
    """The graph as a candidate's name says; None when it says nothing that fits the graph."""
    if name == NATIVE:
        return graph
    if name == FOREIGN and whole_model:
        why = "the whole model is faster in ONNX Runtime"
        layer = Layer(ONNX_RUNTIME, f"{FOREIGN}_tuned", list(graph.inputs), list(graph.outputs))
        layer.attrs["flops"] = sum(cost(inner)[0] for inner in graph.layers)
        layer.onnx_model = whole_model
        layer.why_not_native = reasons(graph.layers, why)
        return Graph(graph.name, graph.inputs, graph.outputs, [layer])
    spans = native_spans(graph) if name == FOREIGN else _spans_of(name)
    fits = all(any(begin <= a < b <= end for begin, end in native_spans(graph)) for a, b in spans)
    if not spans or not fits:
        return None
    return handed_over(graph, spans, "this run of layers is faster in ONNX Runtime")


def _name_of(spans: Sequence[Span]) -> str:
    return " ".join([FOREIGN, *(f"{begin}:{end}" for begin, end in spans)])


def _spans_of(name: str) -> list[Span]:
    return [(int(a), int(b)) for a, b in re.findall(r"(\d+):(\d+)", name)]


def _measured(
    graph: Graph, whole_model: bytes, effort: Effort, race: Race
) -> tuple[Choice, dict[int, tuple[float, float]]]:
    """The choice, and for every native layer its microseconds here and in ONNX Runtime."""
    rng = np.random.default_rng(0)
    feed = {value.name: generated(value.type, rng) for value in graph.inputs}
    runs: dict[str, Run] = {}
    notes: dict[str, str] = {}
    native = runner_of(graph)
    want = _results(native.run(feed), graph)
    runs[NATIVE] = timed(partial(native.run, feed))
    layers = _layer_us(graph, _native_us(native.run, lambda: native.layer_us, feed))
    for name in dict.fromkeys([FOREIGN, *_mixed(graph, layers)]):
        try:
            made = _variant(graph, whole_model, name)
            if made is None:
                continue
            runner = runner_of(made)
            notes[name] = disagreement(_results(runner.run(feed), graph), want, _TOLERANCE)
            if not notes[name]:
                runs[name] = timed(partial(runner.run, feed))
        except RunError as error:
            notes[name] = str(error)
    scores = race(runs, Budget(effort.rounds_min, effort.model_rounds_max, effort.model_seconds))
    candidates = [
        Candidate(name, 0.0, scores.get(name, 0.0), notes.get(name, ""))
        for name in dict.fromkeys([NATIVE, *notes])
    ]
    return Choice(candidates, pick(scores, NATIVE, _MARGIN), effort.name), layers


def _results(made: dict[str, Any], graph: Graph) -> list[Array]:
    return [made[value.name] for value in graph.outputs]


def _native_us(
    run: Callable[[dict[str, Array]], object],
    layer_us: Callable[[], dict[int, float]],
    feed: dict[str, Array],
) -> dict[int, float]:
    """The least of each: what else runs only adds, and here no two are compared in one round."""
    times: dict[int, list[float]] = {}
    for _ in a_while():
        run(feed)
        for i, us in layer_us().items():
            times.setdefault(i, []).append(us)
    return {i: min(values) for i, values in times.items()}


def _layer_us(graph: Graph, native_us: dict[int, float]) -> dict[int, tuple[float, float]]:
    found: dict[int, tuple[float, float]] = {}
    for begin, end in native_spans(graph):
        try:
            there = profiled_us(graph, (begin, end))
        except Exception:  # ONNX Runtime's exceptions share no base class
            continue
        for i in range(begin, end):
            found[i] = (native_us.get(i, 0.0), there[i - begin])
    return found


def _mixed(graph: Graph, layers: dict[int, tuple[float, float]]) -> list[str]:
    """Divisions that should pay, when they are neither none nor all: by what was measured, and with
    caution, which leaves the runs that pay in any case."""
    names = []
    for dearer, slower in _PROPOSED_AT:
        spans: list[Span] = []
        for begin, end in native_spans(graph):
            if begin in layers:
                here, there = zip(*(layers[i] for i in range(begin, end)), strict=True)
                crossing = crossing_us(graph, (begin, end), dearer)
                found = cheapest_spans(here, [us * slower for us in there], crossing)
                spans += [(begin + a, begin + b) for a, b in found]
        if spans not in ([], native_spans(graph)):
            names.append(_name_of(spans))
    return names


def _with_layers(
    graph: Graph,
    tuning: Tuning,
    choices: dict[str, Choice],
    layers: dict[int, tuple[float, float]],
    effort: Effort,
) -> dict[str, Choice]:
    """The choices with ONNX Runtime's time for each layer among the candidates."""
    result = dict(choices)
    for i, (here, there) in layers.items():
        layer = graph.layers[i]
        known = choices.get(layer.name) or Choice(
            [Candidate(NATIVE, 0.0, here)], NATIVE, effort.name
        )
        row = Candidate(FOREIGN, 0.0, there, IN_ITS_RUN)
        others = [c for c in known.candidates if c.name != FOREIGN]
        result[layer.name] = replace(known, candidates=[*others, row])
        # Where another layer settled its weights, the choice kept under its key is not its own.
        key = layer_key(layer)
        if tuning.find(key) is choices.get(layer.name) and (
            layer.name in choices or not sparse_operands(layer)
        ):
            tuning.keep(key, result[layer.name])
    return result
