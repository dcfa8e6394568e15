"""onnxscript's optimiser: constants folded, functions inlined. Importing it takes a second."""

from __future__ import annotations

import math

import onnx
import onnx_ir
from onnxscript import optimizer

_FOLDED_ELEMENTS_MAX = 2**20


def optimised(model: onnx.ModelProto) -> onnx.ModelProto:
    working = onnx_ir.serde.deserialize_model(model)
    optimizer.optimize_ir(working, should_fold=_stays_small)
    result: onnx.ModelProto = onnx_ir.serde.serialize_model(working)
    return result


def _stays_small(node: onnx_ir.Node) -> bool | None:
    """False forbids folding a node whose result is large, or of a size nobody knows; None leaves
    the choice to the optimiser. Without it, a few bytes of shape make gigabytes of zeros."""
    for value in node.outputs:
        if value.shape is None or not value.shape.is_static():
            return False
        if math.prod(value.shape.numpy()) > _FOLDED_ELEMENTS_MAX:
            return False
    return None
