import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.daemon.codec import check_bytes, classify, contents_bytes
from coexec.daemon.datatypes import BY_WIRE
from coexec.daemon.errors import RequestError
from coexec.protos import inference_pb2 as pb


@pytest.mark.parametrize(
    ("wire", "field", "values", "dtype"),
    [
        ("BOOL", "bool_contents", [True, False], np.bool_),
        ("INT8", "int_contents", [-128, 127], np.int8),
        ("INT16", "int_contents", [-5, 6], np.int16),
        ("INT32", "int_contents", [-(2**31), 2**31 - 1], np.int32),
        ("INT64", "int64_contents", [-(2**63), 2**63 - 1], np.int64),
        ("UINT8", "uint_contents", [0, 255], np.uint8),
        ("UINT16", "uint_contents", [0, 65535], np.uint16),
        ("UINT32", "uint_contents", [0, 2**32 - 1], np.uint32),
        ("UINT64", "uint64_contents", [0, 2**64 - 1], np.uint64),
        ("FP32", "fp32_contents", [1.5, -2.25], np.float32),
        ("FP64", "fp64_contents", [1.5, float("inf")], np.float64),
    ],
)
def test_typed_contents(wire: Any, field: Any, values: Any, dtype: Any) -> None:
    contents = pb.InferTensorContents(**{field: values})
    data = contents_bytes("x", BY_WIRE[wire], [2], contents)
    assert data == np.array(values, dtype).tobytes()


def test_typed_strings() -> None:
    contents = pb.InferTensorContents(bytes_contents=[b"", b"ab"])
    data = contents_bytes("x", BY_WIRE["BYTES"], [2], contents)
    assert data == b"\0\0\0\0\2\0\0\0ab"


@pytest.mark.parametrize(
    ("wire", "contents", "text"),
    [
        ("FP32", {"int_contents": [1]}, "'x' has its data in int_contents; FP32 takes 'fp32_"),
        ("FP16", {"fp32_contents": [1]}, "FP16 takes raw_input_contents only"),
        ("FP32", {"fp32_contents": [1, 2]}, "2 elements are given, shape \\[1\\] has 1"),
        ("FP32", {}, "0 elements are given, shape \\[1\\] has 1"),
        ("INT8", {"int_contents": [128]}, "outside INT8, which holds -128 to 127"),
        ("UINT8", {"uint_contents": [256]}, "outside UINT8"),
    ],
)
def test_contents_that_do_not_fit(wire: Any, contents: Any, text: Any) -> None:
    with pytest.raises(RequestError, match=text):
        contents_bytes("x", BY_WIRE[wire], [1], pb.InferTensorContents(**contents))


def test_raw_sizes() -> None:
    check_bytes("x", BY_WIRE["FP32"], [2, 3], bytes(24))
    check_bytes("x", BY_WIRE["FP32"], [0, 3], b"")
    with pytest.raises(RequestError, match="total byte size 23 for input 'x', expecting 24"):
        check_bytes("x", BY_WIRE["FP32"], [2, 3], bytes(23))
    with pytest.raises(RequestError, match="every dim must be 0 or more"):
        check_bytes("x", BY_WIRE["FP32"], [-1], b"")
    with pytest.raises(RequestError, match="expecting 1208925819614629174706175"):
        check_bytes("x", BY_WIRE["INT8"], [2**40 - 1, 2**40 + 1], b"")


def _strings(values: Any) -> Any:
    return b"".join(struct.pack("<I", len(v)) + v for v in values)


@settings(deadline=None)
@given(st.lists(st.text(max_size=20).map(str.encode), max_size=6))
def test_strings_are_framed(values: Any) -> None:
    data = _strings(values)
    check_bytes("x", BY_WIRE["BYTES"], [len(values)], data)
    with pytest.raises(RequestError, match="string"):
        check_bytes("x", BY_WIRE["BYTES"], [len(values) + 1], data)
    if values:
        with pytest.raises(RequestError, match="string"):
            check_bytes("x", BY_WIRE["BYTES"], [len(values)], data[:-1])
    with pytest.raises(RequestError, match="string"):
        check_bytes("x", BY_WIRE["BYTES"], [len(values)], data + b"\0")


def test_strings_are_text() -> None:
    check = "element 1 of input 'x' is no UTF-8: invalid start byte at byte 1"
    with pytest.raises(RequestError, match=check):
        check_bytes("x", BY_WIRE["BYTES"], [2], _strings([b"a", b"b\xff"]))
    contents = pb.InferTensorContents(bytes_contents=[b"a", b"b\xff"])
    with pytest.raises(RequestError, match=check):
        contents_bytes("x", BY_WIRE["BYTES"], [2], contents)


def _read(data: Any) -> Any:
    values, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        values.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return values


def test_classification() -> None:
    values = np.array([[0.25, 0.5, 0.25], [3, 1, 2]], np.float32)
    shape, data = classify("y", values, 2, ["cat", "dog"], batched=True)
    assert shape == [2, 2]
    assert _read(data) == ["0.500000:1:dog", "0.250000:0:cat", "3.000000:0:cat", "2.000000:2"]
    shape, data = classify("y", values.astype(np.int64), 99, [], batched=False)
    assert shape == [6]
    assert _read(data)[:2] == ["3:3", "2:5"]
    with pytest.raises(RequestError, match="classification needs numbers"):
        classify("y", np.array([True]), 1, [], batched=False)
