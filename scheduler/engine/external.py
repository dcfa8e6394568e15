"""A layer that ONNX Runtime runs, in the form the core calls: lists of (dtype, shape, data)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from coexec.kernels.program.dtypes import numpy_dtype

if TYPE_CHECKING:
    from coexec.kernels.program.onnx_layer import OnnxLayer

Item = tuple[str, Sequence[int], Any]

_LENGTH = struct.Struct("<I")
_NAMES = {
    numpy_dtype(name): name
    for name in (
        "bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64",
    )
}  # fmt: skip


class ExternalLayer:
    """Calls an OnnxLayer. dtypes "string" (each element: 4-byte length, bytes) and "opaque"
    (any object) cross as well."""

    def __init__(self, layer: OnnxLayer) -> None:
        self._layer = layer

    def __call__(self, inputs: Sequence[Item]) -> list[Item]:
        return [_to_item(value) for value in self._layer.run([_to_value(item) for item in inputs])]


def _to_value(item: Item) -> Any:
    dtype, shape, data = item
    if dtype == "opaque":
        return data
    if dtype == "string":
        return unpack_strings(data.tobytes(), shape)
    return data.view(numpy_dtype(dtype)).reshape(shape)


def _to_item(value: Any) -> Item:
    if not isinstance(value, np.ndarray):
        return "opaque", (), value
    if value.dtype == object or value.dtype.kind in "US":
        return "string", value.shape, pack_strings(value)
    flat = np.ascontiguousarray(value).reshape(-1)
    return _NAMES[value.dtype], value.shape, flat.view(np.uint8)


def pack_strings(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Strings (str or bytes) as one uint32 length and that many bytes each."""
    parts = []
    for element in array.reshape(-1).tolist():
        data = element.encode() if isinstance(element, str) else bytes(element)
        parts += [_LENGTH.pack(len(data)), data]
    return np.frombuffer(b"".join(parts), np.uint8)


def unpack_strings(data: bytes, shape: Sequence[int]) -> npt.NDArray[Any]:
    """The inverse of pack_strings: an object array of str. Raises ValueError when the bytes
    are no UTF-8."""
    array = np.empty(shape, object)
    flat = array.reshape(-1)
    at = 0
    for i in range(flat.size):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        flat[i] = data[at : at + length].decode()
        at += length
    return array
