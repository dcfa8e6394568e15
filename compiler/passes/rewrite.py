"""What passes share: who makes and reads each value, and rewrites of the form pattern, check,
rewrite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from coexec.compiler.ir import Array, Graph, Layer, TensorType, Value
from coexec.compiler.ir.graph import dtype_name


@dataclass(slots=True)
class PassReport:
    """What a pass did, and what it recognised but left alone, with the reason."""

    name: str
    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Links:
    """A graph under rewriting. Layers change through these methods only, so that producers and
    readers stay right; finish() writes the layers back."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._layers: list[Layer | None] = list(graph.layers)
        self._position = {layer: i for i, layer in enumerate(graph.layers)}
        self._producer: dict[Value, Layer] = {}
        self._readers: dict[Value, list[Layer]] = {}
        self._names = {v.name for v in graph.inputs}
        for layer in graph.layers:
            self._attach(layer)

    def _attach(self, layer: Layer) -> None:
        for value in layer.inputs:
            if value is not None:
                self._readers.setdefault(value, []).append(layer)
                self._names.add(value.name)
        for value in layer.outputs:
            if value is not None:
                self._producer[value] = layer
                self._names.add(value.name)

    def _detach(self, layer: Layer) -> None:
        for value in layer.inputs:
            if value is not None:
                self._readers[value].remove(layer)
        for value in layer.outputs:
            if value is not None and self._producer.get(value) is layer:
                del self._producer[value]

    def walk(self) -> Iterator[Layer]:
        """Layers in order; those removed meanwhile are skipped."""
        for i in range(len(self._layers)):
            layer = self._layers[i]
            if layer is not None:
                yield layer

    def producer(self, value: Value | None) -> Layer | None:
        return None if value is None else self._producer.get(value)

    def readers(self, value: Value) -> list[Layer]:
        """The layers that read the value, one entry per operand."""
        return list(self._readers.get(value, ()))

    def is_output(self, value: Value) -> bool:
        return any(value is output for output in self._graph.outputs)

    def read_once(self, value: Value) -> bool:
        """Exactly one operand is this value, and no client sees it."""
        return len(self._readers.get(value, ())) == 1 and not self.is_output(value)

    def comes_before(self, a: Layer, b: Layer) -> bool:
        return self._position[a] < self._position[b]

    def change(
        self,
        layer: Layer,
        *,
        inputs: Sequence[Value | None] | None = None,
        outputs: Sequence[Value | None] | None = None,
    ) -> None:
        self._detach(layer)
        if inputs is not None:
            layer.inputs = list(inputs)
        if outputs is not None:
            layer.outputs = list(outputs)
        self._attach(layer)

    def remove(self, layer: Layer) -> None:
        self._detach(layer)
        self._layers[self._position.pop(layer)] = None

    def absorb(self, layer: Layer, follower: Layer) -> None:
        """The layer takes the follower's place and its result; the follower goes."""
        place, result = self._position[follower], follower.outputs
        self.remove(follower)
        self._layers[self._position[layer]] = None
        self._layers[place], self._position[layer] = layer, place
        self.change(layer, outputs=result)

    def redirect(self, old: Value, new: Value) -> None:
        """Whoever reads old reads new instead."""
        for layer in dict.fromkeys(self.readers(old)):
            self.change(layer, inputs=[new if v is old else v for v in layer.inputs])

    def constant(self, name: str, array: Array) -> Value:
        """A new constant, under the name or one made from it that is still free."""
        free, count = name, 1
        while free in self._names:
            count += 1
            free = f"{name}_{count}"
        self._names.add(free)
        return Value(free, TensorType(dtype_name(array.dtype), array.shape), array)

    def finish(self) -> None:
        self._graph.layers = [layer for layer in self._layers if layer is not None]


M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Rewrite(Generic[M]):
    """pattern: the match rooted at a layer, or None. check: why not, or "". rewrite: do it."""

    name: str
    pattern: Callable[[Links, Layer], M | None]
    check: Callable[[Links, M], str]
    rewrite: Callable[[Links, M], None]

    def run(self, graph: Graph) -> PassReport:
        """One sweep in the layers' order; a rewrite sees what earlier ones left."""
        report, links = PassReport(self.name), Links(graph)
        for layer in links.walk():
            match = self.pattern(links, layer)
            if match is None:
                continue
            why_not = self.check(links, match)
            if why_not:
                report.refused.append(f"{layer.name}: {why_not}")
                continue
            self.rewrite(links, match)
            report.done.append(layer.name)
        links.finish()
        return report
