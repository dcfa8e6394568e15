import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.passes.test_support import Build
from coexec.compiler.tune.foreign import Span
from coexec.compiler.tune.spans import cheapest_spans, crossing_us


def _cost(
    sides: Sequence[bool], native: Sequence[float], onnx: Sequence[float], crossing: Sequence[float]
) -> float:
    padded = [False, *sides, False]
    switches = sum(crossing[i] for i in range(len(padded) - 1) if padded[i] != padded[i + 1])
    return switches + sum(b if s else a for s, a, b in zip(sides, native, onnx, strict=True))


def _sides(spans: list[Span], count: int) -> list[bool]:
    return [any(a <= i < b for a, b in spans) for i in range(count)]


@pytest.mark.parametrize(
    ("native", "onnx", "expected"),
    [
        ([10, 10, 10], [10, 10, 10], []),
        ([10, 50, 10], [10, 10, 10], [(1, 2)]),
        ([10, 15, 10], [10, 10, 10], []),  # not worth two changes
        ([50, 10, 50], [10, 12, 10], [(0, 3)]),  # a small loss between two gains
        ([50, 10, 50], [10, 40, 10], [(0, 1), (2, 3)]),
        ([50], [1], [(0, 1)]),
    ],
)
def test_spans(native: list[float], onnx: list[float], expected: list[Span]) -> None:
    assert cheapest_spans(native, onnx, [5.0] * (len(native) + 1)) == expected


_US = st.integers(0, 50).map(float)


@settings(deadline=None)
@given(st.lists(st.tuples(_US, _US, _US), min_size=1, max_size=8), _US)
def test_no_other_division_is_cheaper(rows: list[tuple[float, float, float]], last: float) -> None:
    native, onnx, crossing = (list(column) for column in zip(*rows, strict=True))
    crossing.append(last)
    found = _cost(_sides(cheapest_spans(native, onnx, crossing), len(rows)), native, onnx, crossing)
    every = itertools.product([False, True], repeat=len(rows))
    assert found == min(_cost(sides, native, onnx, crossing) for sides in every)


def test_wide_places_are_dear_to_cross() -> None:
    b = Build()
    x = b.input(1, 1000)
    wide = b.op("Tile", x, repeats=[1, 100])
    narrow = b.op("ReduceMean", wide, axes=[1], keepdims=1)
    graph = b.graph(b.op("Relu", narrow))
    start, after_tile, after_mean, end = crossing_us(graph, (0, 3))
    assert after_tile > start > after_mean
    assert after_mean == end
