"""The client for asyncio."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from coexec.protos import coexec_pb2, coexec_pb2_grpc, engine_pb2, inference_pb2, model_config_pb2
from coexec.protos.inference_pb2_grpc import GRPCInferenceServiceStub

from . import control
from .arguments import many
from .calls import Inputs, Model, Options, Version
from .errors import CoexecError, closed_error, error_from_call
from .model import ModelMetadata, ModelState, Result
from .requests import watch_request
from .session import CHANNEL_OPTIONS, Session, Stream
from .steps import Rpc, Steps
from .tls import Tls

_T = TypeVar("_T")


class AsyncClient:
    """Client for asyncio: the same methods, awaited. Make it where its event loop runs.

        async with AsyncClient() as client:
            result = await client.infer("scene_classify", image)

    A call that is cancelled is cancelled in the daemon too.
    """

    def __init__(
        self, address: str | None = None, *, shared_memory: bool = True, tls: Tls | None = None
    ) -> None:
        self._session = Session(address, shared_memory)
        self.address = self._session.address
        self._channel = (
            grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if tls is None
            else grpc.aio.secure_channel(self.address, tls.credentials(), options=CHANNEL_OPTIONS)
        )
        self._methods = {
            **vars(GRPCInferenceServiceStub(self._channel)),  # type: ignore[no-untyped-call]
            **vars(coexec_pb2_grpc.CoexecStub(self._channel)),  # type: ignore[no-untyped-call]
        }
        self._finalizer = weakref.finalize(self, self._session.pool.close)

    async def close(self) -> None:
        """Unregister and remove the shared memory, and hang up."""
        self._finalizer()
        await self._do(self._session.unregister_dropped())
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # Inference

    async def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: Version = "",
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
        request_id: str = "",
    ) -> Result:
        """Run one model; see Client.infer."""
        options = Options(outputs, timeout_s, deadline_us, priority, request_id)
        return await self._do(self._session.infer(model, version, inputs, options))

    async def infer_many(
        self,
        models: Sequence[Model],
        inputs: Inputs,
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
        request_id: str = "",
    ) -> dict[str, Result | CoexecError]:
        """Run several models on the same inputs; see Client.infer_many."""
        options = Options(outputs, timeout_s, deadline_us, priority, request_id)
        return await self._do(self._session.infer_many(models, inputs, options))

    async def stream(
        self,
        model: str,
        inputs: AsyncIterable[Inputs] | Iterable[Inputs],
        *,
        version: Version = "",
        outputs: Sequence[str] | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
    ) -> AsyncIterator[Result | CoexecError]:
        """Send inputs as they come and yield answers as they come; see Client.stream.

        inputs: an asynchronous iterable, or a plain one that has its items at hand.
        """
        given = inputs if isinstance(inputs, AsyncIterable) else _at_hand(many(inputs))
        options = Options(outputs, None, deadline_us, priority)
        stream = Stream(self._session, model, version, options)
        failures: list[Exception] = []

        async def requests() -> AsyncIterator[inference_pb2.ModelInferRequest]:
            try:
                async for item in given:
                    yield await self._do(stream.request(item))
            except Exception as error:  # grpc would hide it
                failures.append(error)

        responses = _invoke(self._methods["ModelStreamInfer"], requests())
        try:
            async for response in responses:
                yield stream.answer(response)
            if failures:
                raise failures[0]
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        except asyncio.CancelledError:
            self._check_closed()
            raise
        finally:
            responses.cancel()
            stream.close()

    # The daemon and its models

    async def live(self) -> bool:
        """Whether a daemon answers."""
        return await self._do(control.live())

    async def ready(self, model: str | None = None, version: Version = "") -> bool:
        """Whether the daemon, or a model, takes requests."""
        return await self._do(control.ready(model, version))

    async def models(self) -> list[ModelState]:
        """Every model of the repository and its state."""
        return await self._do(control.models())

    async def load(
        self,
        name: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Load (or load again) a model of the repository.

        config: its configuration as JSON. files: contents under names such as
        `1/model.onnx`, for a model that the repository does not hold.
        """
        return await self._do(self._session.load(name, config, files, timeout_s))

    async def unload(self, name: str) -> None:
        """Unload a model. What it is computing finishes first."""
        return await self._do(self._session.unload(name))

    async def metadata(self, model: str, version: Version = "") -> ModelMetadata:
        """What a model takes and gives."""
        return await self._do(control.metadata(model, version))

    async def config(self, model: str, version: Version = "") -> model_config_pb2.ModelConfig:
        """A model's configuration."""
        return await self._do(control.config(model, version))

    async def statistics(
        self, model: str = "", version: Version = ""
    ) -> list[inference_pb2.ModelStatistics]:
        """Counts and durations since the start, of one model or of all."""
        return await self._do(control.statistics(model, version))

    async def watch_statistics(self, period_s: float = 1.0) -> AsyncIterator[coexec_pb2.Statistics]:
        """Statistics of models and engine, at once and then every period, without end."""
        snapshots = _invoke(self._methods["WatchStatistics"], watch_request(period_s))
        try:
            async for snapshot in snapshots:
                yield snapshot
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        except asyncio.CancelledError:
            self._check_closed()
            raise
        finally:
            snapshots.cancel()

    async def reuse_report(self) -> engine_pb2.SharingReport:
        """What the loaded models share and what that has saved."""
        return await self._do(control.reuse_report())

    async def plan(self) -> engine_pb2.EnginePlan:
        """How the loaded models are cut into segments."""
        return await self._do(control.plan())

    async def timeline(self, window_s: float = 0.0) -> engine_pb2.TimelineWindow:
        """Every step of the last `window_s` seconds; 0: all that is kept."""
        return await self._do(control.timeline(window_s))

    async def _do(self, steps: Steps[_T]) -> _T:
        """Take the steps: make each call, and hand its answer or error back."""
        with contextlib.closing(steps):
            try:
                rpc = next(steps)
                while True:
                    answer, error = await self._answer(rpc)
                    rpc = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as done:
                result: _T = done.value
                return result

    async def _answer(self, rpc: Rpc) -> tuple[Any, CoexecError | None]:
        method = self._methods[rpc.method]
        try:
            return await _invoke(method, rpc.request, timeout=rpc.timeout_s), None
        except grpc.RpcError as error:
            return None, error_from_call(error, self.address)
        except CoexecError as error:
            return None, error
        except asyncio.CancelledError:
            self._check_closed()
            raise

    def _check_closed(self) -> None:
        """Raises CancelledCallError where a call was cancelled with the channel, and not with
        the task that waits for it."""
        task = asyncio.current_task()
        if self._session.pool.closed and not (task and task.cancelling()):
            raise closed_error() from None


def _invoke(method: Callable[..., Any], request: Any, **options: Any) -> Any:
    try:
        return method(request, **options)
    except grpc.aio.UsageError:
        raise closed_error() from None


async def _at_hand(inputs: Iterable[_T]) -> AsyncIterator[_T]:
    for item in inputs:
        yield item
