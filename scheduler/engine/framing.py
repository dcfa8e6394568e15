"""Messages on the control socket: a 4-byte little-endian length, then the message."""

import asyncio
import struct

MESSAGE_BYTES_MAX = 64 << 20
_LENGTH = struct.Struct("<I")


class FramingError(ConnectionError):
    """The other side sent a length that no message has."""


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """The next message; b"" when the other side has closed. Raises FramingError."""
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MESSAGE_BYTES_MAX:
            raise FramingError(f"a control message of {length} bytes; at most {MESSAGE_BYTES_MAX}")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionResetError, BrokenPipeError):
        return b""  # asyncio tells a reader also of a write that failed


def frame(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message
