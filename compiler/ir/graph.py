"""A graph of layers over typed values. Plain data: passes read and rebuild it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

AttrValue: TypeAlias = int | float | str | list[int] | list[float]

# Bytes of one element by dtype name.
DTYPE_BYTES = {
    "bool": 1, "u8": 1, "u16": 2, "u32": 4, "u64": 8, "i8": 1, "i16": 2, "i32": 4, "i64": 8,
    "f16": 2, "bf16": 2, "f32": 4, "f64": 8, "string": 0,
}  # fmt: skip


class IrError(ValueError):
    """The program is ill-formed; the message says what was given and what fits."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """dtype by its short name ("f32", "i64", "bool"); -1 in shape: known only at run time."""

    dtype: str
    shape: tuple[int, ...]
    layout: str = "dense"

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements, zeros included."""
        return self.elements * DTYPE_BYTES[self.dtype]

    @property
    def is_static(self) -> bool:
        return all(dim >= 0 for dim in self.shape)

    def __str__(self) -> str:
        layout = "" if self.layout == "dense" else f" {self.layout}"
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]{layout}"


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """What a constant was before the importer dequantized it: it is (steps - zero) * scale. zero
    and scale have one element, or as many as the dim `axis`."""

    steps: npt.NDArray[Any]
    scale: npt.NDArray[Any]
    zero: npt.NDArray[Any]
    axis: int

    def transposed(self, perm: Sequence[int]) -> Integers:
        axis = list(perm).index(self.axis) if self.scale.size > 1 else 0
        return Integers(self.steps.transpose(perm), self.scale, self.zero, axis)


@dataclass(slots=True, eq=False)
class Value:
    """A tensor of the graph. constant holds its elements when it is a weight."""

    name: str
    type: TensorType
    constant: npt.NDArray[Any] | None = None
    digest: bytes = b""  # set by the digest pass
    integers: Integers | None = None


@dataclass(slots=True, eq=False)
class Layer:
    """One op applied to values. None marks an absent optional input or output."""

    op: str
    name: str
    inputs: list[Value | None]
    outputs: list[Value | None]
    attrs: dict[str, AttrValue] = field(default_factory=dict)
    onnx_model: bytes = b""  # op "OnnxRuntime": a serialized ModelProto with these inputs/outputs
    why_not_native: str = ""  # op "OnnxRuntime": the reason, layer by layer


@dataclass(slots=True, eq=False)
class Graph:
    """Layers in an order that runs. Every input a layer reads is a graph input, a constant, or
    an output of an earlier layer."""

    name: str
    inputs: list[Value]
    outputs: list[Value]
    layers: list[Layer]


_NUMPY_NAMES = {
    "bool": "bool", "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "f16": "float16", "f32": "float32", "f64": "float64", "string": "object",
}  # fmt: skip


def np_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype for a dtype name; bf16 comes from ml_dtypes, string is object."""
    kind: Any = ml_dtypes.bfloat16 if name == "bf16" else _NUMPY_NAMES[name]
    dtype: np.dtype[Any] = np.dtype(kind)
    return dtype


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The dtype name for a NumPy dtype. Raises IrError for one the IR has no name for."""
    for name, numpy_name in (*_NUMPY_NAMES.items(), ("bf16", "bfloat16")):
        if dtype.name == numpy_name:
            return name
    raise IrError(f"dtype {dtype} has no counterpart; known: {', '.join(DTYPE_BYTES)}")
