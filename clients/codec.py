"""NumPy arrays to the protocol's tensors and back.

On the wire a tensor is little-endian, row-major and without padding; BOOL is one byte; a BYTES
element is its length as uint32 and then its bytes; BF16 is the upper half of a float32.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from ml_dtypes import bfloat16
except ImportError:  # an app may install the client without it
    bfloat16 = None

Array = NDArray[Any]

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
_DATATYPES = {(dtype.kind, dtype.itemsize): name for name, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<I")


def datatype_of(array: Array) -> str:
    """The protocol's name for the array's dtype.

    Raises TypeError for a dtype the protocol has no name for.
    """
    if bfloat16 is not None and array.dtype == bfloat16:
        return "BF16"
    if array.dtype.kind in "OSU":
        return "BYTES"
    name = _DATATYPES.get((array.dtype.kind, array.dtype.itemsize))
    if name is None:
        fits = ", ".join(str(dtype) for dtype in _DTYPES.values())
        raise TypeError(
            f"an array of {array.dtype} cannot be sent; these can: {fits}, bfloat16 (ml_dtypes), "
            "and bytes or str as object, S or U"
        )
    return name


def item_bytes(datatype: str) -> int | None:
    """Bytes of one element, or None for BYTES, whose elements differ."""
    if datatype == "BF16":
        return 2
    return _DTYPES[datatype].itemsize if datatype in _DTYPES else None


def _encode_strings(array: Array) -> bytes:
    parts: list[bytes] = []
    for item in array.ravel():
        data = item.encode() if isinstance(item, str) else bytes(item)
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def encode(array: Array) -> bytes:
    """The array as it crosses the wire."""
    datatype = datatype_of(array)
    if datatype == "BYTES":
        return _encode_strings(array)
    if datatype == "BF16":
        return array.view(np.uint16).astype("<u2", copy=False).tobytes()
    return array.astype(_DTYPES[datatype], copy=False).tobytes()


def encode_into(array: Array, target: memoryview) -> None:
    """Write the array, whose elements have a fixed size, to the front of `target`.

    One copy, whatever the array's strides and byte order.
    """
    datatype = datatype_of(array)
    if datatype == "BF16":
        array, datatype = array.view(np.uint16), "UINT16"
    dtype = _DTYPES[datatype]
    size = array.size * dtype.itemsize
    np.copyto(np.frombuffer(target[:size], dtype).reshape(array.shape), array)


def _decode_strings(count: int, data: memoryview) -> Array:
    items = np.empty(count, object)
    offset = 0
    for i in range(count):
        if offset + _LENGTH.size > len(data):
            raise ValueError(f"BYTES tensor ends after {i} of {count} elements")
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        if offset + length > len(data):
            raise ValueError(f"BYTES element {i} of {count} is cut short")
        items[i] = bytes(data[offset : offset + length])
        offset += length
    if offset != len(data):
        raise ValueError(f"{len(data) - offset} bytes follow the last of {count} BYTES elements")
    return items


def decode(datatype: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    """The array of `shape` that `data` holds. It owns its memory.

    BYTES becomes an object array of bytes; BF16 a bfloat16 array, or float32 where ml_dtypes is
    absent. Raises ValueError where data, datatype and shape do not agree.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return _decode_strings(count, memoryview(data)).reshape(shape)
    size = item_bytes(datatype)
    if size is None:
        raise ValueError(f"unknown datatype {datatype!r}")
    if len(data) != count * size:
        raise ValueError(
            f"{datatype} tensor of shape {list(shape)} takes {count * size} bytes, got {len(data)}"
        )
    if datatype == "BF16":
        halves = np.frombuffer(data, "<u2").reshape(shape)
        if bfloat16 is not None:
            return halves.astype(np.uint16).view(bfloat16)
        return (halves.astype(np.uint32) << 16).view(np.float32)
    if datatype == "BOOL":  # any byte but 0 is true; NumPy wants 0 or 1
        return np.frombuffer(data, np.uint8).reshape(shape).astype(np.bool_)
    return np.array(np.frombuffer(data, _DTYPES[datatype]).reshape(shape))
