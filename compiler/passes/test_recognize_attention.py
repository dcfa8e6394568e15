"""Attention that exporters spell out becomes one op, with the movements around it."""

from __future__ import annotations

import numpy as np
import pytest

from coexec.compiler.ir import Array, Value
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes import recognize_attention, sparsify
from coexec.compiler.passes.test_support import Build, check_pass, ops_of

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
INF = np.float32(np.inf)


def _attend(b: Build, q: Value, k: Value, v: Value, mask: Value | None = None) -> Value:
    """q, k and v are [..., tokens, size]."""
    axes = list(range(len(k.type.shape)))
    transposed = b.op("Transpose", k, perm=[*axes[:-2], axes[-1], axes[-2]])
    scores = b.op("Mul", b.op("MatMul", q, transposed), b.number(0.25))
    if mask is not None:
        scores = b.op("Add", scores, mask)
    return b.op("MatMul", b.op("Softmax", scores, axis=len(axes) - 1), v)


def _mask(rows: int, keys: int) -> Array:
    keep = np.random.default_rng(5).random((1, 1, rows, keys)) < 0.2
    keep[..., 0] = True
    return np.where(keep, np.float32(0), -INF).astype(np.float32)


@pytest.mark.parametrize("masked", [False, True])
def test_of_a_joined_projection(masked: bool) -> None:
    b = Build()
    joined = b.op("Reshape", b.input(2, 9, 72), shape=[2, 9, 3, 4, 6])
    joined = b.op("Transpose", joined, perm=[2, 0, 3, 1, 4])
    q, k, v = (
        b.op("Gather", joined, b.constant(np.array(i, np.int64)), axis=0) for i in (0, 1, -1)
    )
    y = _attend(b, q, k, v, b.constant(_mask(9, 9)) if masked else None)
    y = b.op("Transpose", y, perm=[0, 2, 1, 3])
    graph = b.graph(b.op("Reshape", y, shape=[2, 9, 24]))
    check_pass(graph, recognize_attention.run, ops_of(graph), ["Attention", "Reshape"], **CLOSE)
    layer = graph.layers[0]
    assert Attrs(layer.attrs).ints("k_view") == [24, 9 * 72, 6, 72]
    assert len(layer.inputs) == (4 if masked else 3)


def test_of_separate_projections_with_scaled_operands() -> None:
    b = Build()
    heads = [
        b.op("Reshape", b.input(1, tokens, 32), shape=[1, tokens, 4, 8]) for tokens in (5, 7, 7)
    ]
    q, k, v = (b.op("Transpose", x, perm=[0, 2, 1, 3]) for x in heads)
    q = b.op("Mul", q, b.number(0.5))
    graph = b.graph(_attend(b, q, b.op("Div", k, b.number(2.0)), v))
    check_pass(graph, recognize_attention.run, ops_of(graph), ["Attention"], **CLOSE)
    assert graph.layers[0].attrs["scale"] == pytest.approx(0.0625)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_of_split_and_sliced_operands_of_any_rank(lead: tuple[int, ...]) -> None:
    b = Build()
    rank = len(lead) + 2
    q, k = b.ops("Split", b.input(*lead, 6, 16), axis=rank - 1, split=[8, 8])
    wide = b.input(*lead, 13, 10)
    v = b.op(
        "Slice", wide, starts=[0] * len(lead) + [1, 2], ends=[*lead, 13, 10],
        steps=[1] * len(lead) + [2, 1],
    )  # fmt: skip
    graph = b.graph(_attend(b, q, k, v))
    check_pass(graph, recognize_attention.run, ops_of(graph), ["Attention"], **CLOSE)


@pytest.mark.parametrize("removed_first", [False, True])
def test_of_a_mask_by_where(removed_first: bool) -> None:
    b = Build()
    q, k, v = b.input(4, 8), b.input(6, 8), b.input(6, 5)
    keep = np.isfinite(_mask(4, 6)[0, 0])
    scores = b.op("MatMul", q, b.op("Transpose", k, perm=[1, 0]))
    low = b.number(float(np.finfo(np.float32).min))
    if removed_first:
        scores = b.op("Where", b.constant(~keep), low, scores)
    else:
        scores = b.op("Where", b.constant(keep), scores, low)
    graph = b.graph(b.op("MatMul", b.op("Softmax", scores, axis=1), v))
    check_pass(graph, recognize_attention.run, ops_of(graph), ["Attention"], **CLOSE)
    kept = graph.layers[0].inputs[3]
    assert kept is not None
    np.testing.assert_array_equal(kept.constant, keep.astype(np.float32))


def test_a_mask_of_numbers_weighs_and_a_thin_one_is_stored_by_keys() -> None:
    b = Build()
    x = b.input(40, 8)
    mask = _mask(40, 40)[0, 0] - np.linspace(0, 3, 40, dtype=np.float32)
    graph = b.graph(_attend(b, x, x, x, b.constant(mask)))
    check_pass(graph, recognize_attention.run, ops_of(graph), ["Attention"], **CLOSE)
    sparsify.run(graph)
    keep = graph.layers[0].inputs[3]
    assert keep is not None
    assert keep.type.layout == "csr"


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (np.full((6, 6), -INF), "removes all of a row"),
        (np.full((6, 6), np.float32(99)), "adds 99 to 99"),
        (np.zeros((3, 6, 6), np.float32), "differs between heads"),
    ],
)
def test_masks_that_stay(mask: Array, why: str) -> None:
    b = Build()
    x = b.input(3, 6, 4)
    graph = b.graph(_attend(b, x, x, x, b.constant(mask)))
    before = ops_of(graph)
    report = recognize_attention.run(graph)
    assert ops_of(graph) == before
    assert why in report.refused[0]


def test_other_forms_stay() -> None:
    b = Build()
    x = b.input(3, 6, 4)
    twice = b.op("Softmax", b.op("MatMul", x, b.op("Transpose", x, perm=[0, 2, 1])), axis=2)
    sideways = b.op("Softmax", b.op("MatMul", x, b.input(3, 4, 6)), axis=2)
    graph = b.graph(b.op("MatMul", twice, x), twice, b.op("MatMul", sideways, x))
    before = ops_of(graph)
    report = check_pass(graph, recognize_attention.run, before, before, **CLOSE)
    assert "do not lie side by side" in report.refused[0]
