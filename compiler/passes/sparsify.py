"""Chooses how each weight is stored: dense, bcr or csr, by counting what its kernel would do.

    dense   every element once
    bcr     per strip of rows (8 in Conv, 16 elsewhere): the strip's rows times the columns that
            any of them uses; rows in their own order or sorted by mask, whichever is less
    csr     every non-zero, at the price of two: its column must be looked up

A sparse layout is chosen when its work is below 0.7 of dense, as it gives up some of dense's
regularity. Kernel selection may still find another faster; this only proposes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from coexec.compiler.ir import Array, Graph
from coexec.compiler.passes.rewrite import PassReport
from coexec.compiler.passes.weights import as_matrix, sparse_weights

_CSR_PRICE = 2.0
_SPARSE_SHARE_MAX = 0.7


def layout_work(matrix: Array, strip_rows: int) -> dict[str, float]:
    """Multiply-adds per input column vector, weighted as above, for w[rows, columns]."""
    mask = matrix != 0
    packed = np.packbits(mask, axis=1)
    order = np.lexsort(packed.T[::-1])
    return {
        "dense": float(matrix.size),
        "bcr": float(min(_strip_work(mask, strip_rows), _strip_work(mask[order], strip_rows))),
        "csr": _CSR_PRICE * float(np.count_nonzero(mask)),
    }


def choose_layout(work: dict[str, float]) -> str:
    best = min(("bcr", "csr"), key=lambda layout: work[layout])
    return best if work[best] < _SPARSE_SHARE_MAX * work["dense"] else "dense"


def _strip_work(mask: npt.NDArray[np.bool_], strip_rows: int) -> int:
    rows, columns = mask.shape
    padding = -rows % strip_rows
    strips = np.pad(mask, ((0, padding), (0, 0))).reshape(-1, strip_rows, columns)
    return strip_rows * int(np.count_nonzero(strips.any(axis=1)))


def run(graph: Graph) -> PassReport:
    report = PassReport("sparsify")
    for layer, operand, value, strip_rows in sparse_weights(graph):
        assert value.constant is not None
        where = f"{layer.name}.{operand}"
        work = layout_work(as_matrix(layer.op, value.constant), strip_rows)
        layout = choose_layout(work)
        shares = ", ".join(f"{name} {work[name] / work['dense']:.2f}" for name in ("bcr", "csr"))
        if layout == "dense":
            if min(work["bcr"], work["csr"]) < work["dense"]:
                report.refused.append(f"{where}: stays dense, work {shares} of dense")
            continue
        value.type = type(value.type)(value.type.dtype, value.type.shape, layout)
        report.done.append(f"{where}: {layout}, work {shares} of dense")
    return report
