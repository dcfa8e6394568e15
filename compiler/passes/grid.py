"""Which computed values are multiples of one scale, as quantization leaves them, and where."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from coexec.compiler.ir import Layer, Value
from coexec.compiler.ir.ops.quantize_linear import SHIFT
from coexec.compiler.passes.rewrite import Links

# Layers whose every result element is one of the first operand's, a larger one for a larger one
# (Relu: or 0). So quantizing before them is quantizing after them.
MOVING = frozenset(
    ("MaxPool", "Relu", "Reshape", "Transpose", "Slice", "Split", "Gather", "Expand", "Tile",
     "DepthToSpace", "SpaceToDepth")
)  # fmt: skip


class Grid(NamedTuple):
    """(q - zero) * scale for q in 0..255."""

    scale: float
    zero: float


def grid_made(layer: Layer) -> Grid | None:
    """Of a FakeQuantize, or of a DequantizeLinear of 8 bits with one scale that is a constant."""
    if layer.op == "FakeQuantize":
        scale, zero = layer.attrs["scale"], layer.attrs["zero"]
        assert isinstance(scale, float)
        assert isinstance(zero, float)
        return Grid(scale, zero)
    if layer.op != "DequantizeLinear" or layer.inputs[2] is None:
        return None
    return grid_of_operands(layer) if layer.inputs[2].type.dtype in SHIFT else None


def grid_of_operands(layer: Layer) -> Grid | None:
    """Of a QuantizeLinear or DequantizeLinear of 8 bits."""
    scale, zero = layer.inputs[1], layer.inputs[2]
    if scale is None or zero is None or scale.constant is None or zero.constant is None:
        return None
    if scale.type.shape or not np.finfo(np.float32).tiny < scale.constant < np.inf:
        return None
    shift = SHIFT[zero.type.dtype]
    return Grid(float(scale.constant), float(zero.constant) + shift)


def grid_of(links: Links, value: Value | None) -> Grid | None:
    """The grid that all elements of the value are on."""
    while (layer := links.producer(value)) is not None:
        if layer.op == "Concat":
            grids = {grid_of(links, part) for part in layer.inputs}
            return grids.pop() if len(grids) == 1 else None
        if layer.op not in MOVING:
            return grid_made(layer)
        value = layer.inputs[0]
    return None
