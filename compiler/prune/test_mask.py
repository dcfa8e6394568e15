"""What masks promise, on random matrices."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir import Array
from coexec.compiler.prune.mask import bcr_mask, block_mask, nm_mask, unstructured_mask

RATES = st.sampled_from([0.0, 0.1, 0.5, 0.8, 0.9, 0.99])


@st.composite
def matrices(draw: st.DrawFn) -> Array:
    rows, columns = draw(st.integers(1, 50)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    w = rng.normal(0, 1, (rows, columns))
    zeros = draw(st.sampled_from([0.0, 0.3, 0.95]))
    # Whole tied values too, so that ranking cannot rely on order alone.
    w = np.round(w, draw(st.sampled_from([1, 8])))
    return np.where(rng.random(w.shape) < zeros, 0, w).astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(matrices(), RATES, st.sampled_from([8, 16]), st.sampled_from([16, 64]))
def test_bcr(w: Array, rate: float, block_rows: int, block_columns: int) -> None:
    keep = bcr_mask(w, rate, block_rows, block_columns)
    assert keep.shape == w.shape
    assert not keep[w == 0].any(), "zeros stay zeros"
    zeros_before, zeros = np.count_nonzero(w == 0), w.size - np.count_nonzero(keep)
    target = round(rate * w.size)
    if zeros_before >= target:
        assert zeros == zeros_before
    else:
        assert target <= zeros < target + max(block_rows, block_columns)
    for i in range(0, w.shape[0], block_rows):
        for j in range(0, w.shape[1], block_columns):
            block = keep[i : i + block_rows, j : j + block_columns]
            present = w[i : i + block_rows, j : j + block_columns] != 0
            left = np.outer(block.any(axis=1), block.any(axis=0))
            np.testing.assert_array_equal(block, left & present)


def test_bcr_ends_and_keeps_what_is_no_number() -> None:
    w = np.ones((32, 64), np.float32)
    w[3, 5], w[20, 40], w[9, 60] = np.nan, np.inf, 1e30
    keep = bcr_mask(w, 0.5, 8, 16)
    assert keep[3, 5]
    assert keep[20, 40]
    assert keep[9, 60]
    assert np.count_nonzero(keep) <= w.size // 2


@settings(deadline=None, max_examples=60)
@given(matrices(), RATES, st.sampled_from([1, 16]), st.sampled_from([8, 32]))
def test_block(w: Array, rate: float, block_rows: int, block_columns: int) -> None:
    keep = block_mask(w, rate, block_rows, block_columns)
    zeros_before, zeros = int(np.count_nonzero(w == 0)), w.size - int(np.count_nonzero(keep))
    missing = round(rate * w.size) - zeros_before
    assert zeros - zeros_before < max(missing, 0) + block_rows * block_columns
    assert zeros - zeros_before >= missing
    kept: list[float] = []
    gone: list[float] = []
    for i in range(0, w.shape[0], block_rows):
        for j in range(0, w.shape[1], block_columns):
            block = w[i : i + block_rows, j : j + block_columns]
            here = keep[i : i + block_rows, j : j + block_columns]
            assert (here == (block != 0)).all() or not here.any(), "whole, or not at all"
            (kept if here.any() else gone).append(np.square(block, dtype=np.float64).mean())
    if kept and gone:
        assert max(gone) <= min(kept) * (1 + 1e-6)


@settings(deadline=None, max_examples=60)
@given(matrices(), RATES)
def test_unstructured(w: Array, rate: float) -> None:
    keep = unstructured_mask(w, rate)
    assert not keep[w == 0].any()
    zeros = w.size - np.count_nonzero(keep)
    assert zeros == max(round(rate * w.size), np.count_nonzero(w == 0))
    if keep.any() and not keep.all():
        assert np.abs(w[keep]).min() >= np.abs(w[~keep]).max()


@settings(deadline=None, max_examples=60)
@given(matrices(), st.sampled_from([0.0, 0.3, 0.5, 0.75]))
def test_nm(w: Array, rate: float) -> None:
    keep = nm_mask(w, rate)
    assert not keep[w == 0].any(), "zeros stay zeros"
    most = {0.0: 4, 0.3: 3, 0.5: 2, 0.75: 1}[rate]
    for first in range(0, w.shape[1], 4):
        group, kept = np.abs(w[:, first : first + 4]), keep[:, first : first + 4]
        present = np.count_nonzero(group, axis=1)
        np.testing.assert_array_equal(np.count_nonzero(kept, axis=1), np.minimum(present, most))
        weakest = np.where(kept, group, np.inf).min(axis=1)
        assert (np.where(kept, 0, group).max(axis=1) <= weakest).all()


def test_bcr_takes_the_weak_columns_of_each_strip() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(0, 1, (16, 64)).astype(np.float32)
    weak = rng.random((2, 64)) < 0.5
    w[:8, weak[0]] *= 0.01
    w[8:, weak[1]] *= 0.01
    keep = bcr_mask(w, float(weak.mean()), 8, 64)
    np.testing.assert_array_equal(keep[:8], np.broadcast_to(~weak[0], (8, 64)))
    np.testing.assert_array_equal(keep[8:], np.broadcast_to(~weak[1], (8, 64)))


def test_bcr_takes_a_row_that_hardly_counts() -> None:
    w = np.random.default_rng(0).normal(0, 1, (8, 64)).astype(np.float32)
    w[3] *= 0.01
    keep = bcr_mask(w, 0.125, 8, 64)
    assert not keep[3].any()
    assert keep[np.arange(8) != 3].all()
