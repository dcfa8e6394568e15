"""weights.safetensors: every constant once, under the digest of its contents.

A dense constant is one entry, `<digest>`. A sparse one is two: `<digest>.values`, its non-zeros
in row-major order, and `<digest>.mask`, one bit per element, lowest bit first. The strips a
kernel works on are packed from these when the model is loaded, for the machine it runs on.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from coexec.kernels._kernels import Constant, MappedFile, TensorType
from coexec.kernels.program.errors import FormatError

_HEADER_BYTES_MAX = 64 << 20
_DTYPES = {
    "bool": "BOOL", "u8": "U8", "u16": "U16", "u32": "U32", "u64": "U64", "i8": "I8",
    "i16": "I16", "i32": "I32", "i64": "I64", "f16": "F16", "bf16": "U16", "f32": "F32",
    "f64": "F64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredConstant:
    """A constant to be written: elements in row-major order, and its type."""

    digest: bytes
    dtype: str
    layout: str
    array: npt.NDArray[Any]


def write_weights(constants: list[StoredConstant], path: Path) -> None:
    """Write each constant once. bf16 arrays may have any 2-byte dtype."""
    entries = {}
    for constant in constants:
        for name, dtype, array in _entries(constant):
            stored = array.view(np.uint16) if dtype == "bf16" else array
            entries[name] = np.ascontiguousarray(stored)
    save_file(entries, path)


def _entries(constant: StoredConstant) -> Iterator[tuple[str, str, npt.NDArray[Any]]]:
    key = constant.digest.hex()
    if constant.layout == "dense":
        yield key, constant.dtype, constant.array
        return
    flat = constant.array.reshape(-1)
    kept = flat != 0  # a zero with a sign is a zero: masked training leaves them
    yield f"{key}.values", constant.dtype, flat[kept]
    yield f"{key}.mask", "u8", np.packbits(kept, bitorder="little")


class Weights:
    """A mapped weights file. Raises FormatError when it is not one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.file = MappedFile(str(path))
            with path.open("rb") as stream:
                self._entries = _read_header(stream.read(8), stream.read, self.file.nbytes)
        except (OSError, ValueError) as error:
            raise FormatError(f"{path}: not a readable weights file: {error}") from error

    def constant(self, digest: bytes, type: TensorType) -> Constant:
        """The kernels' view of a constant. Raises FormatError when it is missing or differs."""
        key = digest.hex()
        try:
            if type.layout == "dense":
                return Constant.dense(type, self.file, self._find(key, type.dtype, type.nbytes))
            values = self._entries[f"{key}.values"]
            elements = 1
            for dim in type.shape:
                elements *= dim
            mask_offset = self._find(f"{key}.mask", "u8", (elements + 7) // 8)
            size = TensorType(type.dtype, []).nbytes
            return Constant.sparse(
                type, self.file, values.offset, values.nbytes // size, mask_offset
            )
        except KeyError as error:
            raise FormatError(
                f"{self._path}: constant {error} is missing; compile the model again"
            ) from error
        except ValueError as error:
            raise FormatError(f"{self._path}: constant {key}: {error}") from error

    def same(self, digest: bytes, layout: str, other: "Weights") -> bool:
        """Whether the other file stores, under this digest, the same bytes."""
        return all(
            a.nbytes == b.nbytes and self.file.same(a.offset, other.file, b.offset, a.nbytes)
            for a, b in zip(
                self._stored(digest, layout), other._stored(digest, layout), strict=True
            )
        )

    def stored_bytes(self, digest: bytes, layout: str) -> int:
        """Bytes the constant takes in the file."""
        return sum(entry.nbytes for entry in self._stored(digest, layout))

    def _stored(self, digest: bytes, layout: str) -> list["_Entry"]:
        key = digest.hex()
        names = [key] if layout == "dense" else [f"{key}.values", f"{key}.mask"]
        return [self._entries[name] for name in names]

    def _find(self, name: str, dtype: str, nbytes: int) -> int:
        entry = self._entries[name]
        if entry.dtype != _DTYPES[dtype] or entry.nbytes != nbytes:
            raise ValueError(
                f"stored as {entry.dtype}, {entry.nbytes} bytes; "
                f"the program expects {_DTYPES[dtype]}, {nbytes} bytes"
            )
        return entry.offset


@dataclass(frozen=True, slots=True)
class _Entry:
    dtype: str
    offset: int  # from the start of the file
    nbytes: int


def _read_header(prefix: bytes, read: Any, file_bytes: int) -> Mapping[str, _Entry]:
    if len(prefix) < 8:
        raise ValueError("shorter than its header")
    header_bytes = int.from_bytes(prefix, "little")
    if header_bytes > min(_HEADER_BYTES_MAX, file_bytes - 8):
        raise ValueError(f"a header of {header_bytes} bytes does not fit; the file is truncated")
    table = json.loads(read(header_bytes))
    if not isinstance(table, dict):
        raise ValueError("the header is not a table")
    start = 8 + header_bytes
    entries = {}
    for name, row in table.items():
        if name == "__metadata__":
            continue
        try:
            begin, end = map(int, row["data_offsets"])
            dtype = str(row["dtype"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"entry {name!r} is malformed") from error
        if not 0 <= begin <= end <= file_bytes - start:
            raise ValueError(f"entry {name!r} lies outside the file; it is truncated")
        entries[name] = _Entry(dtype, start + begin, end - begin)
    return entries
