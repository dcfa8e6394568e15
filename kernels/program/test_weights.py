"""Files of weights that are damaged, or are not those of the program."""

import json
from pathlib import Path
from typing import Any

import pytest

from coexec.kernels import _kernels
from coexec.kernels.program.errors import FormatError
from coexec.kernels.program.weights import Weights

_DIGEST = bytes(range(64))
_KEY = _DIGEST.hex()


def _write(path: Path, header: Any, data: bytes = bytes(24)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def _entry(dtype: str, begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin], "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"[]", "the header is not a table"),
        (b"{", "not a readable weights file"),
        ({_KEY: {"dtype": "F32"}}, f"entry '{_KEY}' is malformed"),
        ({_KEY: {"data_offsets": [0, 24]}}, f"entry '{_KEY}' is malformed"),
        ({_KEY: _entry("F32", 0, 28)}, "lies outside the file; it is truncated"),
        ({_KEY: _entry("F32", 8, 4)}, "lies outside the file; it is truncated"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: Any, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        Weights(_write(tmp_path / "w", header))


def test_a_file_shorter_than_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"1234567")
    with pytest.raises(FormatError, match="shorter than its header"):
        Weights(path)
    path.write_bytes((1000).to_bytes(8, "little") + b"{}")
    with pytest.raises(FormatError, match="a header of 1000 bytes does not fit"):
        Weights(path)


def test_a_constant_that_is_missing_or_another_is_told(tmp_path: Path) -> None:
    mask = {f"{_KEY}.values": _entry("F32", 0, 16), f"{_KEY}.mask": _entry("U8", 16, 17)}
    weights = Weights(_write(tmp_path / "w", {"__metadata__": {}, **mask}))
    with pytest.raises(FormatError, match=f"constant '{_KEY}' is missing; compile the model again"):
        weights.constant(_DIGEST, _kernels.TensorType("f32", [2, 3], "dense"))
    with pytest.raises(FormatError, match="stored as U8, 1 bytes; the program expects U8, 2 bytes"):
        weights.constant(_DIGEST, _kernels.TensorType("f32", [3, 3], "csr"))
    with pytest.raises(FormatError, match=f"constant {_KEY}: "):  # a mask of zeros, four values
        weights.constant(_DIGEST, _kernels.TensorType("f32", [2, 3], "csr"))
    dense = Weights(_write(tmp_path / "d", {_KEY: _entry("I32", 0, 24)}))
    with pytest.raises(FormatError, match=r"stored as I32, 24 bytes; the program expects F32, 24"):
        dense.constant(_DIGEST, _kernels.TensorType("f32", [2, 3], "dense"))
