"""Which weights of convolution kernels to keep: masks over w[M, C, *K], True where it stays. What
is zero already stays zero and counts towards the rate."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir import Array
from coexec.compiler.passes.weights import PATTERN_TAPS
from coexec.compiler.prune.mask import Mask

# What goes at least when every 3x3 kernel keeps no more than a pattern.
PATTERN_RATE_MIN = 1 - PATTERN_TAPS / 9
_PATTERNS_MOST = 8
_CENTRE = 4
# Filters and channels of a group that loses the same positions: RT3D's best compromise.
_GROUP_FILTERS, _GROUP_CHANNELS = 8, 4


def pattern_mask(w: Array, rate: float) -> Mask:
    """Pattern and connectivity pruning of w[M, C, 3, 3]: PatDNN, Niu et al., arXiv 2001.00138,
    section 4. Every kernel keeps its centre and three more taps, in one of the eight patterns that
    the kernels' largest weights form most often; then the kernels with the least energy left go
    whole until at least the share `rate` is gone. rate: at least PATTERN_RATE_MIN."""
    kernels = w.reshape(-1, 9)
    energy = np.square(kernels, dtype=np.float64)
    patterns = _frequent_patterns(energy)
    kept_energy = energy @ patterns.T.astype(np.float64)
    keep = patterns[np.argmax(kept_energy, axis=1)] & (kernels != 0)
    weakest = np.argsort(kept_energy.max(axis=1), kind="stable")
    left = np.cumsum(np.count_nonzero(keep[weakest], axis=1))
    most_left = w.size - round(rate * w.size)
    total = int(left[-1]) if left.size else 0
    gone = int(np.searchsorted(left, total - most_left)) + 1 if total > most_left else 0
    keep[weakest[:gone]] = False
    return np.asarray(keep.reshape(w.shape))


def kgs_mask(w: Array, rate: float) -> Mask:
    """Kernel group structured pruning of w[M, C, *K]: RT3D, Niu et al., AAAI 2021, section 3. In a
    group of 8 filters by 4 channels the same kernel positions go, the ones with the smallest mean
    square over all groups first, until at least the share `rate` is gone."""
    filters, channels = w.shape[:2]
    cells = w.reshape(filters, channels, -1)
    padding = ((0, -filters % _GROUP_FILTERS), (0, -channels % _GROUP_CHANNELS), (0, 0))
    padded = np.pad(cells, padding)
    cut = padded.reshape(
        padded.shape[0] // _GROUP_FILTERS, _GROUP_FILTERS, -1, _GROUP_CHANNELS, cells.shape[2]
    )
    count = np.count_nonzero(cut, axis=(1, 3))
    energy = np.square(cut, dtype=np.float64).sum(axis=(1, 3))
    order = np.argsort(
        np.where(count > 0, energy / np.maximum(count, 1), 0), axis=None, kind="stable"
    )
    gone = np.cumsum(count.reshape(-1)[order])
    missing = round(rate * w.size) - (w.size - int(count.sum()))
    removed = int(np.searchsorted(gone, missing)) + 1 if missing > 0 else 0
    group_keep = np.ones(count.shape, np.bool_)
    group_keep.reshape(-1)[order[:removed]] = False
    keep = np.broadcast_to(group_keep[:, None, :, None, :], cut.shape).reshape(padded.shape)
    return np.asarray(keep[:filters, :channels].reshape(w.shape) & (w != 0))


def _frequent_patterns(energy: Array) -> Mask:
    """At most eight rows of 9: the centre and three more. energy: [kernels, 9]."""
    outer = energy.copy()
    outer[:, _CENTRE] = np.inf
    chosen = np.argsort(-outer, axis=1, kind="stable")[:, :PATTERN_TAPS]
    natural = np.zeros(energy.shape, np.bool_)
    np.put_along_axis(natural, chosen, True, axis=1)
    natural = natural[energy.any(axis=1)] if energy.any() else natural
    numbers, frequency = np.unique(natural @ (1 << np.arange(9)), return_counts=True)
    most = numbers[np.argsort(-frequency, kind="stable")[:_PATTERNS_MOST]]
    return np.asarray(most[:, None] >> np.arange(9) & 1, np.bool_)
