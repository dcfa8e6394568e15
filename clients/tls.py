"""How to speak to a daemon that listens with TLS."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from .errors import ArgumentError

File = str | Path


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form. ca: what signed the daemon's certificate; None: the roots gRPC brings
    (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names others). certificate, key: the client's own, for a
    daemon that asks for them."""

    ca: File | None = None
    certificate: File | None = None
    key: File | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises ArgumentError for a file that cannot be read, and one of a pair alone."""
        if (self.certificate is None) != (self.key is None):
            raise ArgumentError("tls: certificate and key go together")
        return grpc.ssl_channel_credentials(
            _read("ca", self.ca), _read("key", self.key), _read("certificate", self.certificate)
        )


def _read(name: str, file: File | None) -> bytes | None:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ArgumentError(f"tls: {name} {str(file)!r}: {error.strerror}") from None
