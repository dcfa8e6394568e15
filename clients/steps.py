"""What a client does, apart from the doing.

A method's steps are a generator: it yields the calls to be made, is sent their answers or is
thrown their errors, and returns what the caller gets. So the synchronous and the asynchronous
client are one program with two ways to wait.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rpc:
    """A call to be made: the method by its name, in whichever service has it."""

    method: str
    request: Message
    timeout_s: float | None = None


Steps = Generator[Rpc, Any, _T]
