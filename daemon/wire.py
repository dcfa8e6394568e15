"""Inference messages taken apart and put together without copying their tensors.

A parsed protobuf message owns a copy of every bytes field, and a serialized one copies it again.
Tensors are most of an inference message, so its raw fields are cut out before parsing and joined
on after serializing: one copy into the engine's memory, one out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from coexec.daemon.errors import invalid

M = TypeVar("M", bound=Message)
Buffer = bytes | memoryview

_LENGTH_DELIMITED = 2
_RAW_OUTPUT_TAG = b"\x32"  # ModelInferResponse.raw_output_contents = 6
_STREAM_RESPONSE_TAG = b"\x12"  # ModelStreamInferResponse.infer_response = 2
RESPONSE_BYTES_MAX = 2**31 - 1  # the protocol's bound


def parse(kind: type[M], message: bytes) -> M:
    """Raises RequestError when the bytes are no such message."""
    try:
        return kind.FromString(message)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise invalid(f"the request is not a {name} message ({len(message)} bytes)") from None


def parse_with_raw(kind: type[M], message: bytes, raw_field: int) -> tuple[M, list[Buffer]]:
    """The message without its field raw_field (repeated bytes), and that field's entries as
    views of `message`. Raises RequestError when the bytes are no such message."""
    cut = _cut(message, raw_field)
    if cut is None:
        parsed = parse(kind, message)
        return parsed, list(getattr(parsed, kind.DESCRIPTOR.fields_by_number[raw_field].name))
    rest, raw = cut
    return parse(kind, rest), raw


def _cut(message: bytes, raw_field: int) -> tuple[bytes, list[Buffer]] | None:
    """None when a field has a wire type that these messages do not use, or the framing breaks;
    the parser then decides."""
    view = memoryview(message)
    end = len(message)
    raw: list[Buffer] = []
    kept: list[memoryview] = []
    at = kept_from = 0
    while at < end:
        tag, start = _varint(message, at, end)
        length, start = _varint(message, start, end)
        if tag & 7 != _LENGTH_DELIMITED or start + length > end or start > end:
            return None
        if tag >> 3 == raw_field:
            kept.append(view[kept_from:at])
            raw.append(view[start : start + length])
            kept_from = start + length
        at = start + length
    if not raw:
        return message, raw
    kept.append(view[kept_from:])
    return b"".join(kept), raw


def _varint(message: bytes, at: int, end: int) -> tuple[int, int]:
    """The number at `at`, and where the next field goes on; past the end when it is cut off."""
    value = shift = 0
    while at < end and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, end + 1


def response_parts(head: Message, raw: Iterable[Buffer]) -> list[Buffer]:
    """A ModelInferResponse whose raw_output_contents are `raw`, in parts to be joined. head holds
    the rest. Raises RequestError when it is more than the protocol carries."""
    parts: list[Buffer] = [head.SerializeToString()]
    for entry in raw:
        parts.append(_RAW_OUTPUT_TAG + _encode_varint(len(entry)))
        parts.append(entry)
    total = sum(map(len, parts))
    if total > RESPONSE_BYTES_MAX:
        raise invalid(
            f"the response has {total} bytes, more than the protocol's {RESPONSE_BYTES_MAX}; "
            "ask for fewer outputs, or place them in shared memory"
        )
    return parts


def stream_response(parts: Sequence[Buffer]) -> bytes:
    """A ModelStreamInferResponse around the parts of a ModelInferResponse."""
    length = sum(map(len, parts))
    return b"".join((_STREAM_RESPONSE_TAG, _encode_varint(length), *parts))


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
