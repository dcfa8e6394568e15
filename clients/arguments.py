"""What callers give a client, checked before it becomes a message."""

import math
import operator
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from numbers import Real
from typing import TypeVar

from .errors import ArgumentError

INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1
_T = TypeVar("_T")


def text(name: str, value: object) -> str:
    """Raises ArgumentError for anything but a str."""
    if not isinstance(value, str):
        raise ArgumentError(f"{name} is {_what(value)}; it must be a str")
    return value


def version_text(version: object) -> str:
    """A version as the protocol has it. Raises ArgumentError for what is neither int nor str."""
    if isinstance(version, str):
        return version
    if isinstance(version, bool) or not hasattr(version, "__index__"):
        raise ArgumentError(
            f'version is {_what(version)}; it must be a whole number or its digits, "" for the '
            "newest"
        )
    return str(operator.index(version))


def whole(name: str, value: object, most: int) -> int:
    """Raises ArgumentError for what is no whole number from 0 to `most`."""
    if not isinstance(value, bool) and hasattr(value, "__index__"):
        number = operator.index(value)
        if 0 <= number <= most:
            return number
    raise ArgumentError(f"{name} is {_what(value)}; it must be a whole number from 0 to {most}")


def seconds(name: str, value: float) -> float:
    """Raises ArgumentError for what is no finite number of seconds, 0 or more."""
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0:
        raise ArgumentError(f"{name} is {_what(value)}; it must be 0 or more seconds")
    return value


def many(inputs: Iterable[_T]) -> Iterable[_T]:
    """A stream's inputs. Raises ArgumentError for one input, or what cannot be gone through."""
    if isinstance(inputs, AsyncIterable):
        raise ArgumentError(f"inputs is {_what(inputs)}, which is for AsyncClient")
    if isinstance(inputs, Mapping | str | bytes) or not isinstance(inputs, Iterable):
        raise ArgumentError(f"inputs is {_what(inputs)}; it must be an iterable of inputs")
    return inputs


def output_names(outputs: Sequence[str] | None) -> tuple[str, ...] | None:
    """Raises ArgumentError for anything but names in a sequence, or None."""
    if outputs is None:
        return None
    if isinstance(outputs, str) or not isinstance(outputs, Sequence):
        raise ArgumentError(f"outputs is {_what(outputs)}; it must be a list of names, or None")
    return tuple(text("a name in outputs", name) for name in outputs)


def json_config(config: object) -> str | None:
    """Raises ArgumentError for anything but a str or None."""
    if config is None or isinstance(config, str):
        return config
    raise ArgumentError(f"config is a {type(config).__name__}; it must be JSON as a str")


def file_contents(files: Mapping[str, bytes] | None) -> Mapping[str, bytes]:
    """Raises ArgumentError for anything but bytes by name, or None."""
    if files is None:
        return {}
    if not isinstance(files, Mapping):
        raise ArgumentError(f"files is a {type(files).__name__}; it must map names to bytes")
    for path, content in files.items():
        if not isinstance(content, bytes):
            raise ArgumentError(f"files[{path!r}] is a {type(content).__name__}; it must be bytes")
    return files


def _what(value: object) -> str:
    return repr(value) if isinstance(value, int | float | str | None) else type(value).__name__
