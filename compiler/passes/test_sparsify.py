"""Layouts follow the zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coexec.compiler.ir import Array
from coexec.compiler.passes import sparsify
from coexec.compiler.passes.sparsify import choose_layout, dense_share, layout_work
from coexec.compiler.passes.test_support import Build, check_pass


def _mask(kind: str, rows: int, columns: int, rng: np.random.Generator) -> Array:
    if kind == "dense":
        return np.ones((rows, columns), bool)
    if kind == "scattered":
        return rng.random((rows, columns)) < 0.1
    if kind == "two of four":
        order = np.argsort(rng.random((rows, columns // 4, 4)), axis=2)
        return np.asarray(order < 2).reshape(rows, columns)
    mask = np.zeros((rows, columns), bool)  # strips of 16 rows that share their columns
    for first in range(0, rows, 16):
        mask[first : first + 16, rng.random(columns) < 0.1] = True
    return mask[rng.permutation(rows)] if kind == "shuffled strips" else mask


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("dense", "dense"),
        ("scattered", "csr"),
        ("strips", "bcr"),
        ("shuffled strips", "bcr"),
        ("two of four", "nm"),
    ],
)
def test_the_layout_that_fits_the_zeros(kind: str, layout: str) -> None:
    b = Build()
    w = b.weight(64, 96)
    assert w.constant is not None
    w.constant *= _mask(kind, 64, 96, b.rng)
    graph = b.graph(b.gemm(b.input(2, 96), w))
    check_pass(graph, sparsify.run, ["Gemm"], ["Gemm"])
    assert w.type.layout == layout


@pytest.mark.parametrize(("size", "layout"), [(28, "dense"), (7, "dense"), (5, "csr")])
def test_sparse_is_held_against_winograds_products(size: int, layout: str) -> None:
    b = Build()
    w = b.weight(16, 16, 3, 3)
    assert w.constant is not None
    w.constant *= b.rng.random(w.constant.shape) < 0.33
    graph = b.graph(b.conv(b.input(1, 16, size, size), w, pad=1))
    check_pass(graph, sparsify.run, ["Conv"], ["Conv"])
    assert w.type.layout == layout


@pytest.mark.parametrize(
    ("w", "size", "attrs", "share"),
    [
        ((16, 16, 3, 3), (30, 30), {}, 0.4),
        ((16, 16, 3, 3), (14, 14), {}, 0.4),
        ((16, 16, 3, 3), (7, 7), {}, 0.6),
        ((16, 16, 3, 3), (5, 5), {}, 1.0),
        ((16, 16, 3, 3), (2, 300), {}, 0.4),
        ((16, 16, 3, 3), (1, 600), {}, 1.0),
        ((16, 16, 3, 3), (600, 1), {}, 1.0),
        ((16, 8, 3, 3), (30, 30), {"group": 2}, 1.0),
        ((7, 16, 3, 3), (30, 30), {}, 1.0),
        ((16, 7, 3, 3), (30, 30), {}, 1.0),
        ((16, 16, 1, 1), (30, 30), {}, 1.0),
        ((16, 16, 3, 3), (60, 60), {"strides": [2, 2]}, 1.0),
        ((16, 3, 7, 7), (60, 60), {"strides": [2, 2]}, 0.65),
        ((16, 3, 7, 7), (60, 60), {"strides": [2, 1]}, 1.0),
        ((16, 16, 4, 4), (30, 30), {}, 0.4),
        ((16, 16, 3, 3), (30, 30), {"dilations": [2, 2]}, 1.0),
    ],
)
def test_where_winograd_takes_dense_work_away(
    w: tuple[int, ...], size: tuple[int, int], attrs: dict[str, Any], share: float
) -> None:
    b = Build()
    x = b.input(1, w[1] * attrs.get("group", 1), *size)
    layer = b.graph(b.conv(x, b.weight(*w), group=attrs.get("group", 1), pad=1)).layers[0]
    layer.attrs |= attrs
    assert dense_share(layer) == share


def test_which_operands_are_looked_at() -> None:
    b = Build()
    x = b.input(1, 16, 6, 6)
    weights = [
        b.weight(16, 16, 3, 3),
        b.weight(16, 1, 3, 3),
        b.weight(1, 12, 48),
        b.weight(1, 12, 3),
    ]
    for w in weights:
        assert w.constant is not None
        w.constant *= b.rng.random(w.constant.shape) < 0.05
    y = b.conv(b.conv(x, weights[0], pad=1), weights[1], group=16, pad=1)
    seq = b.op("Reshape", y, shape=[12, 1, 48])
    h = b.ops("LSTM", seq, weights[2], weights[3], hidden_size=3, direction="forward")
    graph = b.graph(h[0])
    report = check_pass(graph, sparsify.run, ["Conv", "Conv", "Reshape", "LSTM"], [
        "Conv", "Conv", "Reshape", "LSTM"])  # fmt: skip
    assert [w.type.layout for w in weights] == ["csr", "dense", "csr", "csr"]
    assert report.done[0].startswith("Conv_")


def test_kernels_of_four_taps_are_a_pattern() -> None:
    rng = np.random.default_rng(0)
    taps = np.argsort(rng.random((32 * 32, 9)), axis=1) < 4
    w = np.where(taps & (rng.random((32 * 32, 1)) < 0.3), 1.0, 0.0).reshape(32, 32 * 9)
    work = layout_work(w, 8, (3, 3))
    assert choose_layout(work) == "pattern"
    w[0, :9] = 1.0
    assert "pattern" not in layout_work(w, 8, (3, 3))
    assert "pattern" not in layout_work(w, 8)


def test_groups_of_four_are_for_matrices() -> None:
    matrix = np.tile([1.0, 0.0, 1.0, 0.0], (16, 8))
    assert layout_work(matrix, 16)["nm"] == pytest.approx(1.2 * matrix.size / 2)
    assert "nm" not in layout_work(matrix, 16, (1, 1))
    matrix[3, 5] = 1.0
    assert "nm" not in layout_work(matrix, 16)


def test_work_is_counted_as_documented() -> None:
    matrix = np.zeros((8, 10), np.float32)
    matrix[0, 0] = matrix[7, 9] = 1.0
    assert layout_work(matrix, 8, (1, 1)) == {"dense": 80.0, "bcr": 8.0, "csr": 2.8}
    assert choose_layout({"dense": 100.0, "bcr": 71.0, "csr": 90.0}) == "dense"
    assert choose_layout({"dense": 100.0, "bcr": 69.0, "csr": 90.0}) == "bcr"
