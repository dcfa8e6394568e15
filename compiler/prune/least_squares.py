"""One layer's pruning as a least-squares problem: which weights to keep, and what they should be
so that the layer's results on calibration inputs move least.

The layer computes y = w x for columns x. With G = X X^T and C = Y X^T over all calibration
columns, the squared error of a matrix w is tr(w G w^T) - 2 tr(w C^T) + |Y|^2, row by row. For a
row that keeps the columns S the best weights are C[S] inv(G[S, S]), and taking away the kept
weight q as well raises the error by w_q^2 / inv(G[S, S])[q, q]: Optimal Brain Surgeon (Hassibi and
Stork, NIPS 1992, section 3), layer by layer as in Optimal Brain Compression (Frantar and Alistarh,
arXiv 2208.11580, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from coexec.compiler.ir import Array
from coexec.compiler.prune.mask import Mask

# Of G's mean diagonal, added to the diagonal: the share SparseGPT takes (arXiv 2301.00774,
# section 4.1).
_DAMPING = 0.01
# Rounds of removing and solving anew; more change little.
_ROUNDS = 8
# Solving by the inverse of G[S, S] costs about this many flops per |S|^3.
_INVERSE_FLOPS = 3.0
# Above this many flops in one solve, conjugate gradients come closer in the same time.
_DIRECT_FLOPS_MAX = 3e11
_GRADIENT_STEPS = 24

# From a matrix whose squares are the scores, and the share to remove: what to keep.
ChooseMask = Callable[[Array, float], Mask]


@dataclass(frozen=True, slots=True)
class Solution:
    """w: [rows, columns] double, zero where not kept. saliency: what the error would rise by if
    the weight went too."""

    w: Array
    saliency: Array


class LeastSquares:
    """The problem of one weight matrix [rows, columns], in double. Where the calibration inputs
    say little, weights stay near those given: damping pulls towards them."""

    def __init__(
        self, w: Array, gram: Array, cross: Array, energy: float, noise: float = 0.0
    ) -> None:
        """w: the weights before pruning; what is zero stays so. gram: X X^T. cross: Y X^T.
        energy: the sum of Y squared. noise: how far rounding alone may move gram's eigenvalues."""
        self._start = w.astype(np.float64)
        mean = float(np.mean(np.diagonal(gram)))
        damping = max(_DAMPING * mean, noise) or 1.0
        self._gram, self._cross, self._energy = gram, cross, energy
        self._damped = gram + damping * np.eye(len(gram))
        self._pulled = cross + damping * self._start

    def error(self, w: Array) -> float:
        """The squared error of w relative to the sum of Y squared; damping does not count."""
        wide = w.astype(np.float64)
        error = np.sum((wide @ self._gram) * wide) - 2 * np.sum(wide * self._cross) + self._energy
        return max(0.0, float(error)) / self._energy if self._energy else 0.0

    def prune(self, rate: float, choose: ChooseMask) -> Array:
        """The weights after removing the share `rate`: in rounds, each removing what would raise
        the error least and solving for the rest. A choice made in rounds may end badly; what
        magnitude alone would keep, solved for, is taken where its error is less."""
        density = np.count_nonzero(self._start) / self._start.size
        share = min(1.0, max(1.0 - rate, 1e-9) / max(density, 1e-9))
        rounds = [1.0 - density * share ** (turn / _ROUNDS) for turn in range(1, _ROUNDS)]
        *_, last = self.path([*(rounds if share < 1.0 else []), rate], choose)
        by_magnitude = self.solve(choose(self._start, rate), self._start).w
        return min(last, by_magnitude, key=self.error)

    def path(self, rates: Sequence[float], choose: ChooseMask) -> Iterator[Array]:
        """The weights after each of the ascending rates, each found from the one before."""
        found = self.solve(self._start != 0, self._start)
        for rate in rates:
            keep = choose(np.sqrt(found.saliency), rate)
            found = self.solve(keep, found.w)
            yield found.w

    def solve(self, keep: Mask, near: Array) -> Solution:
        """The best weights under the mask. near: where an iterative solution starts."""
        groups = _rows_by_mask(keep)
        flops = sum(_INVERSE_FLOPS * float(np.count_nonzero(keep[rows[0]])) ** 3 for rows in groups)
        if flops > _DIRECT_FLOPS_MAX:
            return self._by_gradients(keep, near)
        w, saliency = np.zeros_like(self._start), np.zeros_like(self._start)
        for rows in groups:
            kept = np.flatnonzero(keep[rows[0]])
            if not kept.size:
                continue
            inverse = np.linalg.inv(self._damped[np.ix_(kept, kept)])
            best = self._pulled[np.ix_(rows, kept)] @ inverse
            w[np.ix_(rows, kept)] = best
            saliency[np.ix_(rows, kept)] = best**2 / np.diagonal(inverse)
        return Solution(w, saliency)

    def _by_gradients(self, keep: Mask, near: Array) -> Solution:
        """Conjugate gradients on all rows at once, preconditioned by G's diagonal. What removal
        would cost is then judged by that diagonal alone, a lower bound."""
        scale = keep / np.diagonal(self._damped)
        w = np.where(keep, near, 0.0)
        residual = keep * (self._pulled - w @ self._damped)
        direction = scale * residual
        fit = np.sum(residual * direction, axis=1, keepdims=True)
        for _ in range(_GRADIENT_STEPS):
            ahead = keep * (direction @ self._damped)
            step = fit / np.maximum(np.sum(direction * ahead, axis=1, keepdims=True), 1e-300)
            w += step * direction
            residual -= step * ahead
            scaled = scale * residual
            previous, fit = fit, np.sum(residual * scaled, axis=1, keepdims=True)
            direction = scaled + fit / np.maximum(previous, 1e-300) * direction
        return Solution(w, w**2 * np.diagonal(self._damped))


def _rows_by_mask(keep: Mask) -> list[Array]:
    """The rows' indices, those with equal masks together."""
    _, group = np.unique(np.packbits(keep, axis=1), axis=0, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group.ravel()[order])) + 1)
