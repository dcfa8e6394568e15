"""Which layers ONNX Runtime should compute, from what each layer takes there and here.

Changing sides has a price, which depends on what a run of layers reads from outside and leaves to
others. So the division with the least sum is found over all runs, by dynamic programming over
where the last one ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from coexec.compiler.ir import Graph, Value
from coexec.compiler.tune.foreign import Span

# Of entering and of leaving ONNX Runtime: its own checks, our arrays.
_SWITCH_US = 8.0
# What crosses is written to memory and read back.
_CROSSING_BYTES_PER_US = 4000.0


def crossing_us(graph: Graph, span: Span, dearer: float = 1.0) -> Callable[[int, int], float]:
    """The price of changing sides, times `dearer`, for each run of layers inside the span, by its
    begin and end counted from the span's."""
    first, end = span
    made_at = {v: i for i, layer in enumerate(graph.layers) for v in layer.outputs if v}
    read_last = {v: i for i, layer in enumerate(graph.layers) for v in layer.inputs if v}
    read_last.update((v, len(graph.layers)) for v in graph.outputs)
    rows = [_row(graph, begin, end, made_at, read_last) for begin in range(first, end)]
    return lambda a, b: dearer * rows[a][b - a - 1]


def _row(
    graph: Graph, begin: int, end: int, made_at: dict[Value, int], read_last: dict[Value, int]
) -> list[float]:
    """The prices of the runs from `begin`, by their length."""
    prices = []
    brought: set[Value] = set()
    brought_bytes = left_bytes = 0
    for i in range(begin, end):
        layer = graph.layers[i]
        for v in {v for v in layer.inputs if v is not None and v.constant is None}:
            if made_at.get(v, -1) >= begin:
                left_bytes -= v.type.nbytes if read_last[v] == i else 0
            elif v not in brought:
                brought.add(v)
                brought_bytes += v.type.nbytes
        left_bytes += sum(v.type.nbytes for v in layer.outputs if v and read_last.get(v, -1) > i)
        crossing = (brought_bytes + left_bytes) / _CROSSING_BYTES_PER_US
        prices.append(2 * _SWITCH_US + crossing)
    return prices


def cheapest_spans(
    native_us: Sequence[float], onnx_us: Sequence[float], crossing: Callable[[int, int], float]
) -> list[Span]:
    """The spans to hand over, by position from 0. crossing: the price of one, by begin and end."""
    there = [0.0, *accumulate(onnx_us)]
    least = [0.0]  # of the first so many layers
    begins: list[int | None] = []  # where the span that ends there begins
    for end, here in enumerate(native_us, 1):
        costs = [least[a] + there[end] - there[a] + crossing(a, end) for a in range(end)]
        a = min(reversed(range(end)), key=costs.__getitem__)  # of equal ones the shortest
        over = costs[a] < least[-1] + here
        begins.append(a if over else None)
        least.append(costs[a] if over else least[-1] + here)
    spans: list[Span] = []
    end = len(native_us)
    while end:
        begin = begins[end - 1]
        if begin is not None:
            spans.append((begin, end))
        end = end - 1 if begin is None else begin
    return spans[::-1]
