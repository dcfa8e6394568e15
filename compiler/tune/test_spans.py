import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir import Graph
from coexec.compiler.passes.test_support import Build
from coexec.compiler.tune.foreign import Span, interface
from coexec.compiler.tune.spans import cheapest_spans, crossing_us

Price = Callable[[int, int], float]


def _cost(spans: list[Span], native: Sequence[float], onnx: Sequence[float], price: Price) -> float:
    given = {i for a, b in spans for i in range(a, b)}
    sides = [onnx[i] if i in given else native[i] for i in range(len(native))]
    return sum(sides) + sum(price(a, b) for a, b in spans)


def _every(count: int) -> list[list[Span]]:
    """All divisions: each place between layers is a cut or none, each piece is on either side."""
    found = []
    for cuts in itertools.product([False, True], repeat=count - 1):
        edges = [0, *(i for i, cut in enumerate(cuts, 1) if cut), count]
        pieces = list(itertools.pairwise(edges))
        for sides in itertools.product([False, True], repeat=len(pieces)):
            found.append([piece for piece, there in zip(pieces, sides, strict=True) if there])
    return found


@pytest.mark.parametrize(
    ("native", "onnx", "expected"),
    [
        ([10, 10, 10], [10, 10, 10], []),
        ([10, 50, 10], [10, 10, 10], [(1, 2)]),
        ([10, 15, 10], [10, 10, 10], []),  # not worth the change
        ([50, 10, 50], [10, 12, 10], [(0, 3)]),  # a small loss between two gains
        ([50, 10, 50], [10, 40, 10], [(0, 1), (2, 3)]),
        ([50], [1], [(0, 1)]),
    ],
)
def test_spans(native: list[float], onnx: list[float], expected: list[Span]) -> None:
    assert cheapest_spans(native, onnx, lambda *_: 10.0) == expected


_US = st.integers(0, 50).map(float)


@settings(deadline=None)
@given(st.lists(st.tuples(_US, _US), min_size=1, max_size=6), st.data())
def test_no_other_division_is_cheaper(rows: list[tuple[float, float]], data: st.DataObject) -> None:
    native, onnx = (list(column) for column in zip(*rows, strict=True))
    runs = list(itertools.combinations(range(len(rows) + 1), 2))
    prices: dict[Span, float] = dict(
        zip(runs, data.draw(st.tuples(*[_US for _ in runs])), strict=True)
    )

    def price(begin: int, end: int) -> float:
        return prices[begin, end]

    found = _cost(cheapest_spans(native, onnx, price), native, onnx, price)
    assert found == min(_cost(spans, native, onnx, price) for spans in _every(len(rows)))


def branched() -> Graph:
    b = Build()
    x = b.input(1, 1000)
    wide = b.op("Tile", x, repeats=[1, 100])
    narrow = b.op("ReduceMean", wide, axes=[1], keepdims=1)
    both = b.op("Add", narrow, b.op("Relu", narrow))
    return b.graph(b.op("Add", both, x))


def test_what_a_run_reads_and_leaves_is_its_price() -> None:
    graph = branched()
    count = len(graph.layers)
    price = crossing_us(graph, (0, count))
    by_bytes = {}
    for span in itertools.combinations(range(count + 1), 2):
        inputs, outputs = interface(graph, span)
        by_bytes[span] = sum(v.type.nbytes for v in (*inputs, *outputs))
    least = min(by_bytes, key=lambda span: by_bytes[span])
    for span, nbytes in by_bytes.items():
        more_us = price(*span) - price(*least)
        assert more_us == pytest.approx((nbytes - by_bytes[least]) / 4000)
    assert crossing_us(graph, (1, count))(0, 2) == price(1, 3)  # counted from the span's begin
