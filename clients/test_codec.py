"""The codec against itself and against bytes written by hand."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coexec.clients import codec

_PLAIN = [
    *("?", "u1", "<u2", ">u2", "<u4", "<u8", "i1", "<i2", "<i4", ">i4", "<i8"),
    *("<f2", "<f4", ">f4", "<f8"),
]
_SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@settings(deadline=None)
@given(
    hnp.arrays(st.sampled_from([np.dtype(name) for name in _PLAIN]), _SHAPES),
    st.booleans(),
)
def test_an_array_comes_back_as_it_went(array: codec.Array, transposed: bool) -> None:
    array = array.T if transposed else array
    data = codec.encode(array)
    back = codec.decode(codec.datatype_of(array), array.shape, data)
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.flags.writeable
    np.testing.assert_array_equal(back, array)

    buffer = bytearray(len(data) + 3)
    codec.encode_into(array, memoryview(buffer))
    assert bytes(buffer[: len(data)]) == data
    assert bytes(buffer[len(data) :]) == bytes(3)


@settings(deadline=None)
@given(hnp.arrays(object, _SHAPES, elements=st.one_of(st.binary(max_size=9), st.text(max_size=9))))
def test_strings_come_back_as_bytes(array: codec.Array) -> None:
    back = codec.decode("BYTES", array.shape, codec.encode(array))
    assert back.shape == array.shape
    for got, sent in zip(back.ravel(), array.ravel(), strict=True):
        assert got == (sent.encode() if isinstance(sent, str) else sent)


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 4))
def test_strange_bytes_are_refused_or_read_whole(data: bytes, count: int) -> None:
    try:
        items = codec.decode("BYTES", [count], data)
    except ValueError:
        return
    assert codec.encode(items) == data


def test_bytes_on_the_wire_are_those_of_the_protocol() -> None:
    assert codec.encode(np.array([1, -2], ">i2")) == b"\x01\x00\xfe\xff"
    assert codec.encode(np.array(["a", b"bc"], object)) == b"\x01\0\0\0a\x02\0\0\0bc"
    assert codec.encode(np.array([b"a"])) == b"\x01\0\0\0a"
    assert codec.encode(np.array([True, False])) == b"\x01\x00"
    assert codec.encode(np.array([1.0, -2.0], ml_dtypes.bfloat16)) == b"\x80\x3f\x00\xc0"


def test_bfloat16_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.array([[1.5, -2.0], [0.0, 3e38]], ml_dtypes.bfloat16)
    data = codec.encode(array.T)
    np.testing.assert_array_equal(codec.decode("BF16", [2, 2], data), array.T)
    buffer = bytearray(8)
    codec.encode_into(array.T, memoryview(buffer))
    assert bytes(buffer) == data
    monkeypatch.setattr(codec, "bfloat16", None)
    back = codec.decode("BF16", [2, 2], data)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, array.T.astype(np.float32))


def test_any_nonzero_byte_is_true() -> None:
    assert codec.decode("BOOL", [3], b"\x00\x02\xff").tolist() == [False, True, True]


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    with pytest.raises(TypeError, match=r"complex128 cannot be sent; these can: bool"):
        codec.encode(np.zeros(2, complex))
    with pytest.raises(ValueError, match=r"FP32 tensor of shape \[2, 2\] takes 16 bytes, got 12"):
        codec.decode("FP32", [2, 2], bytes(12))
    with pytest.raises(ValueError, match="unknown datatype 'FP8'"):
        codec.decode("FP8", [1], bytes(1))
    assert codec.item_bytes("BYTES") is None
    assert codec.item_bytes("BF16") == 2
