"""Chooses how each weight is stored, by counting what its kernel would do:

    dense   every element once
    bcr     per strip of rows (4 in Conv, the shortest that its kernels take; 16 elsewhere): the
            strip's rows times the columns that any of them uses; rows in their own order or sorted
            by mask, whichever is less
    csr     every non-zero, at the price of two, as its column must be looked up; in Conv, where
            the look-up serves many pixels, of 1.4
    pattern four taps of every 3x3 kernel that is not all zeros, when none has more
    nm      one or two of every four inputs, when no row keeps more of any four; not in Conv

A sparse layout is chosen when its work is below 0.7 of dense, as it gives up some of dense's
regularity. Where Winograd's minimal filtering takes dense convolutions, that is 0.7 of what it
leaves of their work. Kernel selection may still find another faster; this only proposes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.passes.rewrite import PassReport
from coexec.compiler.passes.weights import (
    NM_GROUP,
    NM_MOST,
    PATTERN_TAPS,
    STRIP_ROWS,
    as_matrix,
    sparse_weights,
)

_CSR_PRICE = 2.0
_CSR_CONV_PRICE = 1.4
_PATTERN_PRICE = 1.2
_NM_PRICE = 1.2
_KEY_PRICE = 2.5  # of a score that is looked up, against one of a panel
_SPARSE_SHARE_MAX = 0.7
# (pixels, share), most pixels first.
_Shares = tuple[tuple[int, float], ...]
# What Winograd leaves of a dense convolution's work when its output has so many pixels or more,
# measured on an AVX2 core; it takes as many channels or more.
_WINOGRAD_SHARES: _Shares = ((190, 0.4), (30, 0.6))
# The same for kernels of four taps.
_WINOGRAD_FOUR_TAPS_SHARES: _Shares = ((600, 0.4),)
# And with a stride of two, whose four phases are channels of three or four taps.
_WINOGRAD_STRIDED_SHARES: _Shares = ((600, 0.65),)
_WINOGRAD_CHANNELS = 8
# An output of one row or column leaves half of every tile empty: two are the least that pay.
_WINOGRAD_SIDE = 2


def layout_work(matrix: Array, strip_rows: int, kernel: tuple[int, ...] = ()) -> dict[str, float]:
    """Multiply-adds per input column vector, weighted as above, for w[rows, columns]; kernel: the
    last dims of a convolution's weight, whose columns count channels and taps."""
    mask = matrix != 0
    packed = np.packbits(mask, axis=1)
    order = np.lexsort(packed.T[::-1])
    rows = strip_rows // 2 if kernel else strip_rows  # AVX2 has half the registers
    work = {
        "dense": float(matrix.size),
        "bcr": float(min(_strip_work(mask, rows), _strip_work(mask[order], rows))),
        "csr": (_CSR_CONV_PRICE if kernel else _CSR_PRICE) * float(np.count_nonzero(mask)),
    }
    if kernel == (3, 3):
        taps = np.count_nonzero(mask.reshape(-1, 9), axis=1)
        if taps.max() <= PATTERN_TAPS:
            work["pattern"] = _PATTERN_PRICE * PATTERN_TAPS * float(np.count_nonzero(taps))
    if not kernel and matrix.shape[1] >= NM_GROUP:
        groups = np.pad(mask, ((0, 0), (0, -matrix.shape[1] % NM_GROUP))).reshape(-1, NM_GROUP)
        most = int(np.count_nonzero(groups, axis=1).max(initial=0))
        if most <= NM_MOST:
            work["nm"] = _NM_PRICE * max(1, most) * len(groups)
    return work


def layer_work(layer: Layer, weight: Value) -> dict[str, float]:
    """layout_work of a constant weight of a Conv, Gemm, LSTM or GRU without groups; "dense" is
    what its dense kernel does."""
    assert weight.constant is not None
    kernel = weight.type.shape[2:] if layer.op == "Conv" else ()
    work = layout_work(as_matrix(layer.op, weight.constant), STRIP_ROWS[layer.op], kernel)
    work["dense"] *= dense_share(layer)
    return work


def choose_layout(work: dict[str, float]) -> str:
    best = min((layout for layout in work if layout != "dense"), key=lambda layout: work[layout])
    return best if work[best] < _SPARSE_SHARE_MAX * work["dense"] else "dense"


def dense_share(layer: Layer) -> float:
    """Of a layer's dense multiply-adds, those that its dense kernel does."""
    if not _may_take_winograd(layer):
        return 1.0
    assert layer.inputs[1] is not None
    assert layer.outputs[0] is not None
    _, _, height, width = layer.outputs[0].type.shape
    if layer.inputs[1].type.shape[2:] == (3, 3):
        shares = _WINOGRAD_SHARES
    elif layer.attrs["strides"] == [1, 1]:
        shares = _WINOGRAD_FOUR_TAPS_SHARES
    else:
        shares = _WINOGRAD_STRIDED_SHARES
    return next((share for least, share in shares if height * width >= least), 1.0)


def _may_take_winograd(layer: Layer) -> bool:
    """Whether dense f32 weights go by Winograd's filtering when there are pixels enough (see
    kernels/conv/winograd_plan.cc)."""
    if layer.op != "Conv" or layer.inputs[1] is None or layer.attrs["group"] != 1:
        return False
    out_channels, in_channels, *kernel = layer.inputs[1].type.shape
    strides = layer.attrs["strides"]
    assert isinstance(strides, list)
    stride, *others = (int(one) for one in strides)
    taps = {-(-size // stride) for size in kernel}
    if (
        len(kernel) != 2
        or stride not in (1, 2)
        or others != [stride]
        or layer.attrs["dilations"] != [1, 1]
        or taps not in ({3}, {4})
        or min(out_channels, in_channels * stride**2) < _WINOGRAD_CHANNELS
    ):
        return False
    result = layer.outputs[0]
    assert result is not None
    _, _, height, width = result.type.shape
    return min(height, width) >= _WINOGRAD_SIDE


def _strip_work(mask: npt.NDArray[np.bool_], strip_rows: int) -> int:
    rows, columns = mask.shape
    padding = -rows % strip_rows
    strips = np.pad(mask, ((0, padding), (0, 0))).reshape(-1, strip_rows, columns)
    return strip_rows * int(np.count_nonzero(strips.any(axis=1)))


def run(graph: Graph) -> PassReport:
    report = PassReport("sparsify")
    for layer, operand, value, _ in sparse_weights(graph):
        where = f"{layer.name}.{operand}"
        work = layer_work(layer, value)
        layout = choose_layout(work)
        shares = ", ".join(
            f"{name} {work[name] / work['dense']:.2f}" for name in work if name != "dense"
        )
        if layout == "dense":
            if min(work.values()) < work["dense"]:
                report.refused.append(f"{where}: stays dense, work {shares} of dense")
            continue
        value.type = replace(value.type, layout=layout)
        report.done.append(f"{where}: {layout}, work {shares} of dense")
    _masks(graph, report)
    return report


def _masks(graph: Graph, report: PassReport) -> None:
    """The keys that each row of a fixed mask attends to, as a list when that is less work."""
    for layer in graph.layers:
        keep = layer.inputs[3] if layer.op == "Attention" and len(layer.inputs) > 3 else None
        if keep is None or keep.constant is None:
            continue
        share = float(np.count_nonzero(keep.constant)) / keep.constant.size
        if share * _KEY_PRICE < _SPARSE_SHARE_MAX:
            keep.type = replace(keep.type, layout="csr")
            report.done.append(f"{layer.name}.keep: csr, {share:.2f} of the scores")
