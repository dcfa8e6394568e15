"""Which weights to keep: masks over a weight matrix [rows, columns], True where it stays. What
is zero already stays zero and counts towards the rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coexec.compiler.ir import Array
from coexec.compiler.passes.weights import NM_GROUP

Mask = npt.NDArray[np.bool_]

# Removing in rounds and ranking anew in between, so that a row is judged by what its columns
# left of it. More rounds change little.
_ROUNDS = 8
# A row goes when its mean square is below a quarter of the weakest column's: rows of a strip
# share their columns, so the kernels gain from every column and only from rows that end up empty.
_ROW_PRICE = 4.0
# What a weight counts at most, so that sums are numbers; infinities and NaN count as much.
_ENERGY_MAX = np.float32(1e30)


def unstructured_mask(w: Array, rate: float) -> Mask:
    """Removes the smallest magnitudes: Han et al., arXiv 1506.02626."""
    removed = round(rate * w.size)
    keep = np.asarray(w != 0)
    if removed > w.size - np.count_nonzero(keep):
        smallest = np.argpartition(np.abs(w), removed - 1, axis=None)[:removed]
        keep.reshape(-1)[smallest] = False
    return keep


def nm_mask(w: Array, rate: float) -> Mask:
    """N:M pruning: Mishra et al., arXiv 2104.08378, section 3. Of every four columns that follow
    each other, each row keeps the largest ones, as many as the rate leaves, rounded up."""
    left = min(NM_GROUP, int(np.ceil(NM_GROUP * (1.0 - rate) - 1e-9)))
    rows, columns = w.shape
    groups = np.pad(np.abs(w), ((0, 0), (0, -columns % NM_GROUP))).reshape(rows, -1, NM_GROUP)
    largest = np.argsort(-groups, axis=2, kind="stable")[..., :left]
    keep = np.zeros(groups.shape, np.bool_)
    np.put_along_axis(keep, largest, True, axis=2)
    return np.asarray(keep.reshape(rows, -1)[:, :columns] & (w != 0))


def bcr_mask(w: Array, rate: float, block_rows: int, block_columns: int) -> Mask:
    """Block-based column-row pruning: GRIM, Niu et al., arXiv 2108.11033, section 3. The matrix
    is cut into blocks, and inside each block whole rows and whole columns go. Rows and columns
    of all blocks are ranked together by the mean square of the weights they still have, a row's
    counted four times; the share removed reaches the rate and exceeds it by less than one row or
    column of a block."""
    blocks = _Blocks(w, block_rows, block_columns)
    target = round(rate * w.size)
    start = w.size - blocks.alive_count()
    for turn in range(1, _ROUNDS + 1):
        goal = start + round((target - start) * turn / _ROUNDS)
        last = turn == _ROUNDS
        while (missing := goal - (w.size - blocks.alive_count())) > 0:
            if not blocks.remove_weakest(missing, at_least_one=last) or not last:
                break
    return blocks.mask(w.shape)


def block_mask(w: Array, rate: float, block_rows: int, block_columns: int) -> Mask:
    """Removes whole blocks, those of the smallest mean square, until the rate is reached; it is
    exceeded by less than a block. What lies beyond the matrix counts as no weight."""
    rows, columns = w.shape
    padding = ((0, -rows % block_rows), (0, -columns % block_columns))
    shape = (-1, block_rows, -(-columns // block_columns), block_columns)

    def per_block(of: Array) -> Array:
        sums: Array = np.pad(of, padding).reshape(shape).sum(axis=(1, 3), dtype=np.float64)
        return sums

    present, size = per_block((w != 0).astype(np.float32)), per_block(np.ones_like(w))
    mean = per_block(np.square(w, dtype=np.float32)) / size
    order = np.argsort(mean, axis=None, kind="stable")
    missing = round(rate * w.size) - (w.size - np.count_nonzero(w))
    gone = np.searchsorted(np.cumsum(present.reshape(-1)[order]), missing) + 1
    keep = np.ones(mean.size, np.bool_)
    keep[order[: gone if missing > 0 else 0]] = False
    whole = np.repeat(keep.reshape(mean.shape), block_rows, 0).repeat(block_columns, 1)
    return np.asarray(whole[:rows, :columns] & (w != 0))


class _Blocks:
    """The matrix as [block row, block column, row, column], and which rows and columns of each
    block are left. Weights that are zero, or lie beyond the matrix, count as gone."""

    def __init__(self, w: Array, block_rows: int, block_columns: int) -> None:
        rows, columns = w.shape
        padded = np.pad(w, ((0, -rows % block_rows), (0, -columns % block_columns)))
        shape = (padded.shape[0] // block_rows, block_rows, -1, block_columns)
        cut = np.ascontiguousarray(padded.reshape(shape).transpose(0, 2, 1, 3))
        self._present = (cut != 0).astype(np.float32)
        with np.errstate(over="ignore"):
            self._energy = np.fmin(np.square(cut, dtype=np.float32), _ENERGY_MAX)
        self._rows = np.ones(cut.shape[:3], np.float32)
        self._columns = np.ones((*cut.shape[:2], block_columns), np.float32)

    def _row_sums(self, of: Array) -> Array:
        """Per row over its remaining columns."""
        sums: Array = np.matmul(of, self._columns[..., None])[..., 0] * self._rows
        return sums

    def _column_sums(self, of: Array) -> Array:
        """Per column over its remaining rows."""
        sums: Array = np.matmul(self._rows[:, :, None, :], of)[:, :, 0, :] * self._columns
        return sums

    def alive_count(self) -> int:
        return int(self._row_sums(self._present).sum(dtype=np.float64))

    def remove_weakest(self, missing: int, at_least_one: bool) -> bool:
        """Removes the weakest rows and columns that hold at most `missing` weights together, or
        the weakest one alone when even that holds more and at_least_one asks for it. False when
        nothing went."""
        rows, columns = self._row_sums(self._energy), self._column_sums(self._energy)
        energy = np.concatenate([_ROW_PRICE * rows.ravel(), columns.ravel()])
        rows, columns = self._row_sums(self._present), self._column_sums(self._present)
        count = np.concatenate([rows.ravel(), columns.ravel()])
        mean = np.where(count > 0, energy / np.maximum(count, 1), np.inf)
        # Twice as many as the rows and columns of mean size that would do.
        size = float(np.sum(count)) / max(int(np.count_nonzero(count)), 1)
        order = _weakest_first(mean, round(2 * missing / max(size, 1.0)))
        # A row and a column of one block share a weight, so this never counts too few.
        total = np.cumsum(count[order], dtype=np.float64)
        fitting = int(np.searchsorted(total, missing, side="right"))
        if fitting == 0 and not at_least_one:
            return False
        chosen = order[: max(fitting, 1)]
        self._rows.reshape(-1)[chosen[chosen < self._rows.size]] = 0.0
        self._columns.reshape(-1)[chosen[chosen >= self._rows.size] - self._rows.size] = 0.0
        return True

    def mask(self, shape: tuple[int, ...]) -> Mask:
        left = self._present * self._rows[..., None] * self._columns[:, :, None, :]
        block_rows, blocks, rows, columns = left.shape
        whole = left.transpose(0, 2, 1, 3).reshape(block_rows * rows, blocks * columns)
        return np.ascontiguousarray(whole[: shape[0], : shape[1]] != 0)


def _weakest_first(mean: Array, number: int) -> npt.NDArray[np.intp]:
    """The indices of that many smallest, and of their equals, in order; at least some."""
    number = max(number, 64)
    if number >= mean.size:
        return np.argsort(mean, kind="stable")
    few = np.flatnonzero(mean <= np.partition(mean, number)[number])
    order: npt.NDArray[np.intp] = few[np.argsort(mean[few], kind="stable")]
    return order
