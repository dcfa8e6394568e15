"""Measured microseconds of one layer with its weights pruned in several ways."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np

from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.passes import sparsify
from coexec.compiler.tune.key import layer_key
from coexec.compiler.tune.measure import Budget, Run, race, timed
from coexec.compiler.tune.trial import Trial, generated
from coexec.kernels.program.errors import RunError

# Makes the arrays that take the place of a layer's weights.
Variant = Callable[[], Mapping[Value, Array]]
# The microseconds of each variant of the layer, by name. Equal names of equal layers mean equal
# work.
TimeVariants = Callable[[Layer, Mapping[str, Variant]], dict[str, float]]

_BUDGET = Budget(rounds_min=4, rounds_max=10, seconds=0.2)
_RUNS = 4
_known: dict[tuple[str, str], float] = {}


def measured_us(layer: Layer, variants: Mapping[str, Variant]) -> dict[str, float]:
    """On one thread, by turns. What was measured once in this process is not measured again."""
    key = layer_key(layer)
    missing = {name: make for name, make in variants.items() if (key, name) not in _known}
    if missing:
        trial = Trial(layer)
        runs: dict[str, Run] = {}
        for name, make in missing.items():
            run, _ = trial.native(_with_weights(layer, make()))
            runs[name] = timed(run)
        for name, us in race(runs, _BUDGET).items():
            _known[key, name] = us
    return {name: _known[key, name] for name in variants}


def others_us(graph: Graph, layers: Collection[int]) -> float:
    """The microseconds of all layers together but those whose index is given, in one run of the
    graph. Zero when the graph takes no generated inputs."""
    runner = runner_of(graph)
    rng = np.random.default_rng(0)
    feed = {value.name: generated(value.type, rng) for value in graph.inputs}
    least: dict[int, float] = {}
    try:
        for _ in range(_RUNS):
            runner.run(feed)
            for i, us in runner.layer_us.items():
                least[i] = min(us, least.get(i, us))
    except RunError:
        return 0.0
    return sum(us for i, us in least.items() if i not in layers)


def _with_weights(layer: Layer, arrays: Mapping[Value, Array]) -> Layer:
    """The layer with other weights, in the layouts that these get."""
    swapped = {
        value: Value(value.name, replace(value.type, layout="dense"), array)
        for value, array in arrays.items()
    }
    changed = replace(layer, inputs=[swapped.get(v, v) if v else None for v in layer.inputs])
    inputs = [v for v in changed.inputs if v is not None and v.constant is None]
    sparsify.run(Graph(layer.name, inputs, [v for v in layer.outputs if v], [changed]))
    return changed
