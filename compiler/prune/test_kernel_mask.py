"""What masks of convolution kernels promise, on random weights."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir import Array
from coexec.compiler.prune.kernel_mask import PATTERN_RATE_MIN, kgs_mask, pattern_mask


@st.composite
def weights(draw: st.DrawFn, kernel: tuple[int, ...]) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(1, 20)), draw(st.integers(1, 20)), *kernel)
    # Whole tied values too, so that ranking cannot rely on order alone.
    w = np.round(rng.normal(0, 1, shape), draw(st.sampled_from([1, 8])))
    return np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 0.95])), 0, w)


@settings(deadline=None, max_examples=60)
@given(weights((3, 3)), st.sampled_from([PATTERN_RATE_MIN, 0.7, 1 - 1 / 8.1, 0.99]))
def test_pattern(w: Array, rate: float) -> None:
    keep = pattern_mask(w, rate)
    assert keep.shape == w.shape
    assert not keep[w == 0].any(), "zeros stay zeros"
    taps = keep.reshape(-1, 9)
    left, most = int(np.count_nonzero(keep)), w.size - round(rate * w.size)
    assert taps.sum(axis=1).max() <= 4
    assert left <= most
    whole = taps[taps.sum(axis=1) == 4]
    assert whole[:, 4].all(), "every pattern has the centre"
    assert len(np.unique(whole, axis=0)) <= 8
    if left:  # no kernel went that need not have gone
        assert left + 4 > min(most, int(np.count_nonzero(pattern_mask(w, 0.0))))


@settings(deadline=None, max_examples=60)
@given(weights((2, 3, 2)), st.sampled_from([0.0, 0.5, 0.667, 0.9]))
def test_kgs(w: Array, rate: float) -> None:
    keep = kgs_mask(w, rate)
    zeros = w.size - int(np.count_nonzero(keep))
    assert not keep[w == 0].any(), "zeros stay zeros"
    start = max(int(np.count_nonzero(w == 0)), round(rate * w.size))
    assert start <= zeros < start + 8 * 4
    for i in range(0, w.shape[0], 8):
        for j in range(0, w.shape[1], 4):
            group, present = keep[i : i + 8, j : j + 4], w[i : i + 8, j : j + 4] != 0
            position = group.any(axis=(0, 1))
            np.testing.assert_array_equal(group, position & present)


def test_the_weakest_kernels_go() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(0, 1, (16, 16, 3, 3))
    weak = rng.random((16, 16)) < 0.5
    w[weak] *= 0.01
    keep = pattern_mask(w, 1 - 4 / 9 * float((~weak).mean()))
    np.testing.assert_array_equal(keep.any(axis=(2, 3)), ~weak)
