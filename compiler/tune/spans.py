"""Which layers ONNX Runtime should compute, from what each layer takes there and here.

Changing sides has a price, so single layers are not worth handing over: the least sum over the
whole chain of layers is found by dynamic programming over two states (Viterbi)."""

from __future__ import annotations

from collections.abc import Sequence

from coexec.compiler.ir import Graph
from coexec.compiler.tune.foreign import Span

# Of entering and leaving ONNX Runtime: its own checks, our arrays.
_SWITCH_US = 8.0
# What crosses is written to memory and read back.
_CROSSING_BYTES_PER_US = 4000.0


def crossing_us(graph: Graph, span: Span) -> list[float]:
    """The price of changing sides before each layer of the span, and after the last."""
    begin, end = span
    last_read = {v: i for i, layer in enumerate(graph.layers) for v in layer.inputs if v}
    last_read.update((v, len(graph.layers)) for v in graph.outputs)
    alive = {v: last_read.get(v, -1) for v in graph.inputs}
    prices = []
    for i, layer in enumerate(graph.layers[:end]):
        if i >= begin:
            prices.append(_price(sum(v.type.nbytes for v, last in alive.items() if last >= i)))
        alive.update((v, last_read.get(v, -1)) for v in layer.outputs if v is not None)
    prices.append(_price(sum(v.type.nbytes for v, last in alive.items() if last >= end)))
    return prices


def cheapest_spans(
    native_us: Sequence[float], onnx_us: Sequence[float], crossing: Sequence[float]
) -> list[Span]:
    """The spans to hand over, by position from 0. crossing: one longer than the others. The
    chain begins and ends on our side."""
    native, onnx = 0.0, crossing[0]
    came_from: list[tuple[bool, bool]] = []  # for (native, onnx): whether onnx came before
    for i, (here, there) in enumerate(zip(native_us, onnx_us, strict=True)):
        if i:
            back, over = onnx + crossing[i], native + crossing[i]
            came_from.append((back < native, onnx < over))
            native, onnx = min(native, back), min(onnx, over)
        native, onnx = native + here, onnx + there
    there = onnx + crossing[-1] < native
    sides = [there]
    for from_native, from_onnx in reversed(came_from):
        there = from_onnx if there else from_native
        sides.append(there)
    return _runs(sides[::-1])


def _runs(sides: Sequence[bool]) -> list[Span]:
    spans: list[Span] = []
    for i, there in enumerate(sides):
        if there and spans and spans[-1][1] == i:
            spans[-1] = (spans[-1][0], i + 1)
        elif there:
            spans.append((i, i + 1))
    return spans


def _price(crossing_bytes: int) -> float:
    return _SWITCH_US + crossing_bytes / _CROSSING_BYTES_PER_US
