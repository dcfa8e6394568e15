"""TLS that cannot be, and TLS that fails."""

import pytest

from coexec.clients import ArgumentError, AsyncClient, Client, Tls, UnavailableError
from coexec.clients.conftest import Fake


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (Tls("/absent.pem"), "tls: ca '/absent.pem': No such file or directory"),
        (Tls(certificate="c.pem"), "tls: certificate and key go together"),
    ],
)
def test_no_tls(tls: Tls, message: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ArgumentError, match=message):
            kind("localhost:1", tls=tls)


async def test_a_daemon_without_tls(fake: Fake) -> None:
    message = (
        rf"^TLS fails with what listens at {fake[1]} \(WRONG_VERSION_NUMBER\); .* leave TLS out"
    )
    with Client(fake[1], tls=Tls()) as client, pytest.raises(UnavailableError, match=message):
        client.models()
    async with AsyncClient(fake[1], tls=Tls()) as client_:
        with pytest.raises(UnavailableError, match=message):
            await client_.models()
