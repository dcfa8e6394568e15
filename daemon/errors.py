"""What goes wrong with a request, as the status its caller gets."""

from __future__ import annotations

import grpc


class RequestError(Exception):
    """A request that is answered with a status. The text says what was given and what fits."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def invalid(text: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, text)


def not_found(text: str) -> RequestError:
    return RequestError(grpc.StatusCode.NOT_FOUND, text)


def unavailable(text: str) -> RequestError:
    return RequestError(grpc.StatusCode.UNAVAILABLE, text)


def unsupported(text: str) -> RequestError:
    return RequestError(grpc.StatusCode.UNIMPLEMENTED, text)


def exhausted(text: str) -> RequestError:
    return RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, text)


_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def from_number(number: int, text: str) -> RequestError:
    """The error for a gRPC status code as a number; an unknown one becomes UNKNOWN."""
    return RequestError(_BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN), text)
