"""The Python client of coexec.

Client and AsyncClient call a daemon; everything else here is what they take, give and raise.
"""

from .addresses import default_address, default_socket
from .aio import AsyncClient
from .client import Client
from .errors import (
    AlreadyExistsError,
    ArgumentError,
    CancelledCallError,
    CoexecError,
    DeadlineError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerError,
    UnavailableError,
    UnsupportedError,
)
from .model import ModelMetadata, ModelState, Result, TensorInfo
from .tls import Tls

__all__ = [
    "AlreadyExistsError",
    "ArgumentError",
    "AsyncClient",
    "CancelledCallError",
    "Client",
    "CoexecError",
    "DeadlineError",
    "InvalidInputError",
    "ModelMetadata",
    "ModelState",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "Result",
    "ServerError",
    "TensorInfo",
    "Tls",
    "UnavailableError",
    "UnsupportedError",
    "default_address",
    "default_socket",
]
