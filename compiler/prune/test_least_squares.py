"""The least-squares problem: never worse than magnitude, exact where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coexec.compiler.ir import Array
from coexec.compiler.prune.least_squares import LeastSquares
from coexec.compiler.prune.mask import bcr_mask, unstructured_mask


def _bcr(w: Array, rate: float) -> Array:
    return bcr_mask(w, rate, 8, 16)


def _problem(rng: np.random.Generator, rows: int, columns: int) -> tuple[Array, LeastSquares]:
    """Inputs that lie near a space of a third of the columns, so that weights can stand in for
    each other."""
    w = rng.normal(0, 1, (rows, columns))
    few = max(1, columns // 3)
    x = rng.normal(0, 1, (columns, few)) @ rng.normal(0, 1, (few, 4 * columns))
    x += rng.normal(0, 0.3, x.shape)
    y = w @ x
    return w, LeastSquares(w, x @ x.T, y @ x.T, float(np.sum(y * y)))


@example(9, 2, 0.6, _bcr, 221)
@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 20),
    st.integers(1, 40),
    st.sampled_from([0.3, 0.6, 0.9]),
    st.sampled_from([unstructured_mask, _bcr]),
    st.integers(0, 2**32 - 1),
)
def test_never_worse_than_magnitude_and_of_its_structure(rows, columns, rate, choose, seed) -> None:  # type: ignore[no-untyped-def]
    w, problem = _problem(np.random.default_rng(seed), rows, columns)
    found = problem.prune(rate, choose)
    kept = np.count_nonzero(choose(w, rate))
    magnitude = np.where(choose(w, rate), w, 0.0)
    assert problem.error(found) <= problem.error(magnitude) * (1 + 1e-6) + 1e-9
    if choose is unstructured_mask:
        assert np.count_nonzero(found) == kept
    else:
        assert np.count_nonzero(found) <= w.size - round(rate * w.size)
        # What is left of every block is a set of rows times a set of columns.
        assert (choose(np.where(found, w, 0.0), 0.0) == (found != 0)).all()


def test_a_diagonal_gram_keeps_the_largest_shares_as_they_are() -> None:
    rng = np.random.default_rng(3)
    w = rng.normal(0, 1, (6, 12))
    gram = np.diag(rng.uniform(0.1, 10.0, 12))
    problem = LeastSquares(w, gram, w @ gram, float(np.sum((w @ gram) * w)))
    found = problem.prune(0.75, unstructured_mask)
    # Damping adds the same to every diagonal element.
    share = w**2 * (np.diagonal(gram) + 0.01 * np.mean(np.diagonal(gram)))
    largest = share >= np.sort(share, axis=None)[-w.size // 4]
    np.testing.assert_allclose(found, np.where(largest, w, 0.0), rtol=1e-12, atol=1e-12)


def test_an_input_that_repeats_another_costs_nothing() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (4, 100))
    x = np.concatenate([x, x])
    w = rng.normal(0, 1, (3, 8))
    y = w @ x
    problem = LeastSquares(w, x @ x.T, y @ x.T, float(np.sum(y * y)))
    assert problem.error(problem.prune(0.5, lambda m, r: bcr_mask(m, r, 3, 8))) < 1e-3
    by_magnitude = np.where(bcr_mask(w, 0.5, 3, 8), w, 0.0)
    assert problem.error(by_magnitude) > 0.05


def test_large_problems_come_close_by_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    w, problem = _problem(np.random.default_rng(5), 16, 32)
    exact = problem.error(problem.prune(0.6, unstructured_mask))
    monkeypatch.setattr("coexec.compiler.prune.least_squares._DIRECT_FLOPS_MAX", 0.0)
    close = problem.error(problem.prune(0.6, unstructured_mask))
    magnitude = problem.error(np.where(unstructured_mask(w, 0.6), w, 0.0))
    assert close < 2 * exact
    assert close < 0.5 * magnitude


def test_zeros_stay_and_a_silent_input_changes_nothing() -> None:
    w = np.random.default_rng(6).normal(0, 1, (4, 6))
    w[1, 2] = w[3, 5] = 0.0
    problem = LeastSquares(w, np.zeros((6, 6)), np.zeros((4, 6)), 0.0)
    found = problem.prune(0.5, unstructured_mask)
    assert found[1, 2] == found[3, 5] == 0.0
    np.testing.assert_allclose(found, np.where(unstructured_mask(w, 0.5), w, 0.0))
    assert problem.error(found) == 0.0
