"""Takes calibration inputs through a graph layer by layer, so that each layer can be looked at,
and changed, before what follows it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coexec.compiler.ir import Array, Graph, Layer, Value

Run = Callable[[Graph, Sequence[Array]], list[Array]]


class Walk:
    """The values that layers from a position on still need, for every example."""

    def __init__(self, graph: Graph, examples: Sequence[Sequence[Array]], run: Run) -> None:
        """examples: inputs in the graph's order. run computes a graph's outputs from them."""
        self._graph, self._run, self._at = graph, run, 0
        self._known = [dict(zip(graph.inputs, example, strict=True)) for example in examples]
        self._last_reader = {
            value: i for i, layer in enumerate(graph.layers) for value in layer.inputs if value
        }

    def to(self, position: int) -> Layer:
        """Runs the layers before that position with the weights they have now; the layer there."""
        layers = self._graph.layers[self._at : position]
        if layers:
            self._advance(layers, position)
        return self._graph.layers[position]

    def _advance(self, layers: Sequence[Layer], position: int) -> None:
        self._at = position
        made = {value for layer in layers for value in layer.outputs if value}
        read = {value: None for layer in layers for value in layer.inputs if value}
        inputs = [value for value in read if value.constant is None and value not in made]
        needed = [v for v in made if self._last_reader.get(v, -1) >= position]
        part = Graph(f"{self._graph.name} to {position}", inputs, needed, list(layers))
        for known in self._known:
            results = self._run(part, [known[value] for value in inputs]) if needed else []
            known.update(zip(needed, results, strict=True))
            for value in [v for v in known if self._last_reader.get(v, -1) < position]:
                del known[value]

    def values(self, value: Value) -> list[Array]:
        """Per example. Raises KeyError for a value that is not made yet, or no longer needed."""
        if value.constant is not None:
            return [value.constant] * len(self._known)
        return [known[value] for known in self._known]

    def run_alone(self, layer: Layer, result: Value) -> list[Array]:
        """A result of one layer that reads values known now, per example."""
        inputs = list(dict.fromkeys(v for v in layer.inputs if v and v.constant is None))
        part = Graph(layer.name, inputs, [result], [layer])
        return [self._run(part, [known[value] for value in inputs])[0] for known in self._known]
