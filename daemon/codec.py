"""Tensors between the protocol's forms and plain bytes: little-endian, row-major, no padding;
BYTES elements each as a uint32 length and the bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coexec.compiler.ir.graph import np_dtype
from coexec.daemon.datatypes import DataType
from coexec.daemon.errors import invalid
from coexec.daemon.wire import Buffer
from coexec.protos import inference_pb2 as pb

_LENGTH = struct.Struct("<I")
_CONTENTS = tuple(pb.InferTensorContents.DESCRIPTOR.fields_by_name)


def elements(name: str, shape: Sequence[int]) -> int:
    """The number of elements. Raises RequestError for a negative dim."""
    if any(dim < 0 for dim in shape):
        raise invalid(f"input '{name}' has the shape {list(shape)}; every dim must be 0 or more")
    return math.prod(shape)


def check_bytes(name: str, datatype: DataType, shape: Sequence[int], data: Buffer) -> None:
    """Raises RequestError unless data holds exactly the elements of shape."""
    count = elements(name, shape)
    if datatype.item_bytes == 0:
        _check_strings(name, count, data)
    elif len(data) != count * datatype.item_bytes:
        raise invalid(
            f"unexpected total byte size {len(data)} for input '{name}', expecting "
            f"{count * datatype.item_bytes}: {datatype.wire} of shape {list(shape)}"
        )


def _check_strings(name: str, count: int, data: Buffer) -> None:
    at, end = 0, len(data)
    for index in range(count):
        if at + 4 > end:
            raise invalid(
                f"incomplete string length indicator for input '{name}': element {index} of "
                f"{count} begins at byte {at} of {end}"
            )
        begin = at + 4
        at = begin + _LENGTH.unpack_from(data, at)[0]
        if at > end:
            raise invalid(
                f"incomplete string data for input '{name}': element {index} of {count} ends at "
                f"byte {at} of {end}"
            )
        _check_text(name, index, data[begin:at])
    if at != end:
        raise invalid(
            f"unexpected number of string elements for input '{name}': {count} elements take {at} "
            f"bytes, {end} are given"
        )


def _check_text(name: str, index: int, data: Buffer) -> None:
    """ONNX's strings are text."""
    try:
        str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise invalid(
            f"string element {index} of input '{name}' is no UTF-8: {error.reason} at byte "
            f"{error.start}; send other bytes as UINT8"
        ) from None


def contents_bytes(
    name: str, datatype: DataType, shape: Sequence[int], contents: pb.InferTensorContents
) -> bytes:
    """The bytes of typed contents. Raises RequestError for the wrong field, a wrong count, and
    numbers the datatype cannot hold."""
    filled = [field for field in _CONTENTS if getattr(contents, field)]
    if filled and filled != [datatype.contents]:
        takes = f"'{datatype.contents}'" if datatype.contents else "raw_input_contents only"
        raise invalid(
            f"input '{name}' has its data in {' and '.join(filled)}; {datatype.wire} takes {takes}"
        )
    values = getattr(contents, datatype.contents) if filled else ()
    count = elements(name, shape)
    if len(values) != count:
        raise invalid(
            f"unexpected explicit tensor data for input '{name}': {len(values)} elements are "
            f"given, shape {list(shape)} has {count}"
        )
    if datatype.item_bytes == 0:
        for index, value in enumerate(values):
            _check_text(name, index, value)
        return b"".join(part for value in values for part in (_LENGTH.pack(len(value)), value))
    dtype = np_dtype(datatype.dtype)
    array = np.array(values, dtype=_wide(dtype))
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise invalid(
                f"input '{name}' has values outside {datatype.wire}, which holds {limits.min} to "
                f"{limits.max}"
            )
    return array.astype(dtype).tobytes()


def _wide(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The dtype whose numbers the field of `dtype` can carry."""
    if dtype.kind in "iu":
        return np.dtype(np.int64 if dtype != np.uint64 else np.uint64)
    return dtype


def classify(
    name: str,
    values: npt.NDArray[np.generic],
    count: int,
    labels: Sequence[str],
    batched: bool,
) -> tuple[list[int], bytes]:
    """The `count` largest values of each batch row (or of all), largest first, as
    "value:index[:label]" strings: their shape and bytes. Raises RequestError for values without
    an order."""
    if values.dtype.kind not in "iuf":
        raise invalid(f"output '{name}' holds {values.dtype.name}; classification needs numbers")
    rows = values.reshape(values.shape[0] if batched and values.ndim else 1, -1)
    count = min(count, rows.shape[1])
    parts: list[bytes] = []
    for row in rows:
        for index in np.argsort(-row.astype(np.float64), kind="stable")[:count]:
            number = f"{row[index]:f}" if row.dtype.kind == "f" else str(row[index])
            label = f":{labels[index]}" if index < len(labels) else ""
            text = f"{number}:{index}{label}".encode()
            parts += (_LENGTH.pack(len(text)), text)
    shape = [rows.shape[0], count] if batched else [count]
    return shape, b"".join(parts)
