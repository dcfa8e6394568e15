"""Which layers the kernels take. The answer comes from the kernels: a step is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from coexec.compiler.ir.graph import DTYPE_BYTES, Layer, TensorType, Value
from coexec.kernels import _kernels

_ABSENT = _kernels.TensorType("none", [])


class Kernels:
    """Makes steps during one compilation. Constants are handed over once per array, so that
    trying a layer again packs nothing again."""

    def __init__(self) -> None:
        # The array is kept with its constant: an id is unique only while its object lives.
        self._constants: dict[
            tuple[int, TensorType], tuple[npt.NDArray[Any], _kernels.Constant]
        ] = {}

    def step(self, layer: Layer) -> _kernels.Step:
        """Raises UnsupportedLayerError, and ValueError for attributes the op does not have."""
        return _kernels.Step(
            layer.op,
            layer.attrs,
            [_type(value) for value in layer.inputs],
            [_type(value) for value in layer.outputs],
            [None if v is None or v.constant is None else self.constant(v) for v in layer.inputs],
        )

    def why_not(self, layer: Layer) -> str:
        """Why no kernel takes the layer; "" when one does."""
        for value in (*layer.inputs, *layer.outputs):
            if value is not None:
                problem = _problem(value)
                if problem:
                    return problem
        try:
            self.step(layer)
        except ValueError as error:
            return str(error)
        return ""

    def constant(self, value: Value) -> _kernels.Constant:
        """The kernels' form of a constant in the layout it has now."""
        assert value.constant is not None, value.name
        key = (id(value.constant), value.type)
        held = self._constants.get(key)
        if held is None:
            data = np.ascontiguousarray(value.constant).reshape(-1).view(np.uint8)
            held = (value.constant, _kernels.Constant.copied(_type(value), data))
            self._constants[key] = held
        return held[1]


def _problem(value: Value) -> str:
    type = value.type
    if type.dtype not in DTYPE_BYTES or type.dtype == "string":
        return f"{value.name} is {type.dtype}, which no kernel takes"
    if not type.is_static:
        return f"{value.name} has a shape known only at run time: {type}"
    if type.elements == 0:
        return f"{value.name} has no elements: {type}"
    return ""


def _type(value: Value | None) -> _kernels.TensorType:
    if value is None:
        return _ABSENT
    type: TensorType = value.type
    return _kernels.TensorType(type.dtype, list(type.shape), type.layout)
