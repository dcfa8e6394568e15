"""What calibration inputs say about one layer: the moments its least-squares problem needs."""

from __future__ import annotations

import math

import numpy as np

from coexec.compiler.ir import Array, Layer
from coexec.compiler.ir.op import Attrs
from coexec.compiler.ir.window import output_spatial, pad_spatial, taps
from coexec.compiler.prune.least_squares import LeastSquares

# Columns gathered before their products are taken: large products are fast ones.
_GATHERED = 2048
# What rounding the products to f32 may add to a moment, as a share of the mean square: three times
# what was seen.
_ROUNDING = 2.0**-15


class Moments:
    """Sums over columns x with results y, in double."""

    def __init__(self, rows: int, columns: int) -> None:
        self._gram = np.zeros((columns, columns))
        self._cross = np.zeros((rows, columns))
        self._x = np.zeros(columns)
        self._y = np.zeros(rows)
        self._energy = 0.0
        self._count = 0
        self._waiting: list[tuple[Array, Array]] = []

    def add(self, x: Array, y: Array) -> None:
        """x[columns, positions] and y[rows, positions], f32. A few thousand products are summed
        in f32, the sums of those in double."""
        self._waiting.append((x, y))
        if sum(x.shape[1] for x, _ in self._waiting) >= _GATHERED:
            self._take()

    def _take(self) -> None:
        if not self._waiting:
            return
        x, y = (np.concatenate(arrays, axis=1) for arrays in zip(*self._waiting, strict=True))
        self._waiting.clear()
        self._gram += x @ x.T
        self._cross += y @ x.T
        self._x += np.sum(x, axis=1, dtype=np.float64)
        self._y += np.sum(y, axis=1, dtype=np.float64)
        self._energy += float(np.sum(np.square(y, dtype=np.float64)))
        self._count += x.shape[1]

    @property
    def finite(self) -> bool:
        """Are all sums? An infinity or a NaN in any column spoils them."""
        self._take()
        return bool(np.isfinite(self._energy) and np.isfinite(self._gram).all())

    def problem(self, w: Array, with_bias: bool) -> LeastSquares:
        """The problem for weights w. with_bias: a free bias is added to every row, which makes
        the moments central."""
        self._take()
        if not with_bias:
            return LeastSquares(w, self._gram, self._cross, self._energy)
        n = self._count
        gram = self._gram - np.outer(self._x, self._x) / n
        cross = self._cross - np.outer(self._y, self._x) / n
        energy = max(0.0, self._energy - float(self._y @ self._y) / n)
        # Of inputs that hardly vary nothing but rounding is left.
        noise = _ROUNDING * math.sqrt(len(gram)) * float(np.mean(np.diagonal(self._gram)))
        return LeastSquares(w, gram, cross, energy, noise)

    def bias(self, w: Array) -> Array:
        """The best bias [rows] for weights w."""
        bias: Array = (self._y - w @ self._x) / self._count
        return bias


def columns_of(layer: Layer, x: Array, chosen: Array) -> Array:
    """The layer's input x as the columns its weight matrix multiplies, [columns, positions].
    Conv: a column per window of x[N, C, *S], in the order of w[M, C, *K], chosen among the
    windows. Else: x's last dim, chosen among the others' elements."""
    if layer.op != "Conv":
        return np.ascontiguousarray(x.reshape(-1, x.shape[-1])[chosen].T)
    attrs = Attrs(layer.attrs)
    windows = output_spatial("Conv", x.shape[2:], attrs)
    padded = pad_spatial(x, attrs, 0.0)
    seen = [tap.reshape(*x.shape[:2], -1)[..., chosen] for _, tap in taps(padded, attrs, windows)]
    stacked = np.stack(seen, axis=2)  # [N, C, taps, positions]
    columns = x.shape[1] * len(seen)
    return np.ascontiguousarray(stacked.transpose(1, 2, 0, 3)).reshape(columns, -1)


def results_of(layer: Layer, y: Array, chosen: Array) -> Array:
    """What goes with columns_of's columns in an array like the layer's result: [rows,
    positions]."""
    if layer.op != "Conv":
        return np.ascontiguousarray(y.reshape(-1, y.shape[-1])[chosen].T)
    flat = y.reshape(*y.shape[:2], -1)[..., chosen]
    return np.ascontiguousarray(flat.transpose(1, 0, 2)).reshape(y.shape[1], -1)


def positions(layer: Layer, x: Array) -> int:
    """How many there are to choose from: Conv's windows, else all elements but the last dim."""
    if layer.op == "Conv":
        return math.prod(output_spatial("Conv", x.shape[2:], Attrs(layer.attrs)))
    return math.prod(x.shape[:-1])
