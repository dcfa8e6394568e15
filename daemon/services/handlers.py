"""From a coroutine to a gRPC method: errors become statuses, whatever they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from coexec.daemon.errors import RequestError
from coexec.daemon.wire import parse

Q = TypeVar("Q", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]
_log = structlog.get_logger("rpc")


async def abort(context: Context, error: BaseException) -> None:
    """End the call with the status of `error`; one that nobody foresaw is logged."""
    if isinstance(error, RequestError):
        await context.abort(error.code, error.text)
    _log.error("internal error", exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, f"internal error: {error!r}; see the log")


def unary(kind: type[Q], answer: Callable[[Q], Awaitable[Message] | Message]) -> Any:
    """A method that takes one message of `kind`. answer may be a coroutine function or, where
    there is nothing to wait for, a function."""

    async def serve(message: bytes, context: Context) -> bytes:
        try:
            result = answer(parse(kind, message))
            if not isinstance(result, Message):
                result = await result
            return result.SerializeToString()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await abort(context, error)
            raise

    return grpc.unary_unary_rpc_method_handler(serve)


def unary_bytes(answer: Callable[[bytes, float | None], Awaitable[bytes]]) -> Any:
    """A method that parses and serializes by itself, and takes the seconds to the caller's
    deadline (None: no deadline)."""

    async def serve(message: bytes, context: Context) -> bytes:
        try:
            return await answer(message, context.time_remaining())
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await abort(context, error)
            raise

    return grpc.unary_unary_rpc_method_handler(serve)


def streaming(kind: type[Q], answers: Callable[[Q], AsyncIterator[Message]]) -> Any:
    """A method that answers one message of `kind` with a stream."""

    async def serve(message: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            async for answer in answers(parse(kind, message)):
                yield answer.SerializeToString()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await abort(context, error)
            raise

    return grpc.unary_stream_rpc_method_handler(serve)
