"""What gRPC says of a failed call, told to the caller."""

import grpc
import pytest

from coexec.clients.errors import UnavailableError, error_from_call

_SSL = "SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:"


class _Failure(grpc.RpcError):
    def __init__(self, details: str) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return self._details


def _told(details: str) -> str:
    error = error_from_call(_Failure(details), "robot:1")
    assert type(error) is UnavailableError
    return error.details


@pytest.mark.parametrize(
    "details",
    [
        "model 'superresolution' has no available versions: loading",
        "model 'a' is not loaded: 1/model.onnx: failed to connect to all addresses",
        "Stream removed (recvmsg:Connection reset by peer (104))",
    ],
)
def test_what_a_daemon_says_stays_as_it_is(details: str) -> None:
    assert _told(details) == details


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        ("UNKNOWN: ipv4:[::1]:1: Failed to connect to remote host: Connection refused", "refused"),
        ("UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed", "Socket closed"),
    ],
)
def test_nobody_there(details: str, cause: str) -> None:
    told = _told(f"failed to connect to all addresses; last error: {details}")
    assert told.startswith("no daemon answers at robot:1 (")
    assert f"{cause}); start one" in told


@pytest.mark.parametrize(
    "details",
    [
        "errors resolving a:1: [field:hostname lookup error:address lookup: no name]",
        "DNS resolution failed for a:1: no name",
    ],
)
def test_a_name_that_nobody_has(details: str) -> None:
    assert _told(details).startswith("no daemon answers at robot:1 (no name); start one")


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        (
            f"Tls handshake failed (TSI_PROTOCOL_FAILURE): {_SSL}CERTIFICATE_VERIFY_FAILED: "
            "self signed certificate: OK",
            "CERTIFICATE_VERIFY_FAILED",
        ),
        (
            f"Ssl handshake failed (TSI_PROTOCOL_FAILURE): {_SSL}WRONG_VERSION_NUMBER",
            "WRONG_VERSION_NUMBER",
        ),
        (
            "Custom verification check failed with error: UNAUTHENTICATED: "
            "Hostname Verification Check failed.",
            "Hostname Verification Check failed",
        ),
        ("Handshake read failed (Socket closed)", "Handshake read failed (Socket closed)"),
    ],
)
def test_tls_that_fails(details: str, cause: str) -> None:
    told = _told(
        f"failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:1: {details}"
    )
    assert told.startswith(f"TLS fails with what listens at robot:1 ({cause}); if it listens with")
    assert "--tls-ca FILE" in told
