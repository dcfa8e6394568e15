"""ModelInfer and ModelStreamInfer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from coexec.daemon.errors import RequestError
from coexec.daemon.inference import Inference
from coexec.daemon.services.handlers import Context, abort, unary_bytes
from coexec.daemon.wire import Buffer, stream_response
from coexec.protos import inference_pb2 as pb

STREAM_REQUESTS_MAX = 64  # in flight on one stream; more wait in the transport
_ERRORS_AS_STATUS = "triton_grpc_error"
_STATUS = "coexec_status"  # the parameter of a stream's error that holds its gRPC status


def handlers(inference: Inference) -> dict[str, Any]:
    async def infer(message: bytes, remaining_s: float | None) -> bytes:
        return b"".join(await inference.infer(message, remaining_s))

    async def stream(messages: AsyncIterator[bytes], context: Context) -> None:
        try:
            await _Stream(inference, context).serve(messages)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await abort(context, error)

    return {
        "ModelInfer": unary_bytes(infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(stream),
    }


class _Stream:
    """Requests of one stream run side by side; their answers go out in the requests' order."""

    def __init__(self, inference: Inference, context: Context) -> None:
        self._inference = inference
        self._context = context
        metadata = context.invocation_metadata() or ()
        self._as_status = any(
            key == _ERRORS_AS_STATUS and value in ("true", b"true") for key, value in metadata
        )

    async def serve(self, messages: AsyncIterator[bytes]) -> None:
        """Raises RequestError for the first failure, if the client asked for that."""
        running: asyncio.Queue[asyncio.Task[list[Buffer]] | None] = asyncio.Queue(
            STREAM_REQUESTS_MAX
        )
        reading = asyncio.create_task(self._read(messages, running))
        try:
            while (task := await running.get()) is not None:
                await self._context.write(await self._answer(task))
            await reading
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
            while not running.empty():
                left = running.get_nowait()
                if left is not None:
                    left.cancel()

    async def _read(
        self,
        messages: AsyncIterator[bytes],
        running: asyncio.Queue[asyncio.Task[list[Buffer]] | None],
    ) -> None:
        broken: Exception | None = None
        try:
            async for message in messages:
                remaining_s = self._context.time_remaining()
                infer = self._inference.infer(message, remaining_s, final=True)
                task = asyncio.create_task(infer)
                try:
                    await running.put(task)
                except asyncio.CancelledError:
                    task.cancel()
                    raise
        except Exception as error:
            broken = error
        await running.put(None)  # the answers to what came are sent first
        if broken is not None:
            raise broken

    async def _answer(self, task: asyncio.Task[list[Buffer]]) -> bytes:
        try:
            return stream_response(await task)
        except asyncio.CancelledError:
            task.cancel()
            raise
        except RequestError as error:
            if self._as_status:
                raise
            response = pb.ModelStreamInferResponse(error_message=error.text)
            # The protocol has no place for the status; clients that do not look lose nothing.
            response.infer_response.parameters[_STATUS].int64_param = error.code.value[0]
            return response.SerializeToString()
