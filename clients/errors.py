"""What can go wrong in a call, one exception for each thing a caller may do about it."""

import re

import grpc


class CoexecError(Exception):
    """A call that failed.

    code: the gRPC status. details: what the daemon said. request_id: the request's id, where
    one of a stream's requests failed and the others go on.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self, details: str, code: grpc.StatusCode | None = None, request_id: str = ""
    ) -> None:
        super().__init__(details)
        self.details = details
        self.code = code or type(self).code
        self.request_id = request_id


class NotFoundError(CoexecError):
    """No such model, version or region."""

    code = grpc.StatusCode.NOT_FOUND


class InvalidInputError(CoexecError):
    """The request does not fit the model; the message says what would."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class ArgumentError(InvalidInputError, ValueError):
    """An argument that cannot be sent; the message names it and says what fits."""


class DeadlineError(CoexecError):
    """The deadline passed, or the daemon refused at once what it could not finish by then."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class OverloadedError(CoexecError):
    """Refused at once: a queue, or another limit, is full."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class UnavailableError(CoexecError):
    """No daemon answers, or the model is not being served at the moment."""

    code = grpc.StatusCode.UNAVAILABLE


class CancelledCallError(CoexecError):
    """The call was cancelled, or the client is closed."""

    code = grpc.StatusCode.CANCELLED


class UnsupportedError(CoexecError):
    """The daemon does not offer this."""

    code = grpc.StatusCode.UNIMPLEMENTED


class AlreadyExistsError(CoexecError):
    """The name is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDeniedError(CoexecError):
    """The daemon does not let this caller do that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class ServerError(CoexecError):
    """Something broke inside the daemon; its log says more."""

    code = grpc.StatusCode.INTERNAL


_BY_CODE = {
    kind.code: kind
    for kind in (
        NotFoundError,
        InvalidInputError,
        DeadlineError,
        OverloadedError,
        UnavailableError,
        CancelledCallError,
        UnsupportedError,
        AlreadyExistsError,
        PermissionDeniedError,
        ServerError,
    )
}
# How gRPC says that it reached nobody, and that TLS was what failed. The daemon's own words may
# hold any of these, but do not open so.
_NOBODY = re.compile("failed to connect to all addresses|DNS resolution failed|errors resolving")
_TLS = re.compile("handshake (read )?failed|verification check failed", re.IGNORECASE)
_TLS_CAUSE = re.compile(r"OPENSSL_internal:(\w+)")
_CODES = {int(code.value[0]): code for code in grpc.StatusCode}


def error_for(code: grpc.StatusCode | int, details: str, request_id: str = "") -> CoexecError:
    """The exception for a gRPC status, given as such or as its number."""
    status = _CODES.get(code, grpc.StatusCode.UNKNOWN) if isinstance(code, int) else code
    return _BY_CODE.get(status, CoexecError)(details, status, request_id)


def closed_error() -> CancelledCallError:
    """For what a client is asked after its end."""
    return CancelledCallError("the client is closed; make another")


def error_from_call(error: grpc.RpcError, address: str) -> CoexecError:
    """The exception for a failed call to `address`."""
    code: grpc.StatusCode = error.code()
    details: str = error.details() or code.name.lower()
    if code is grpc.StatusCode.UNAVAILABLE and _NOBODY.match(details):
        details = _unreached(details, address)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED and details == "Deadline Exceeded":
        details = "timeout_s passed before the daemon answered"  # these words are gRPC's own
    return error_for(code, details)


def _unreached(details: str, address: str) -> str:
    cause = details.rpartition(": ")[2].strip("[].")
    if not _TLS.search(details):
        return (
            f"no daemon answers at {address} ({cause}); "
            "start one with `coexec serve`, or name its address"
        )
    if known := _TLS_CAUSE.search(details):
        cause = known[1]
    return (
        f"TLS fails with what listens at {address} ({cause}); if it listens with TLS, give what "
        "signed its certificate as tls=Tls(ca=FILE) or --tls-ca FILE, and a name that the "
        "certificate holds; if not, leave TLS out"
    )
