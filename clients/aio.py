"""The client for asyncio."""

import contextlib
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from coexec.protos import coexec_pb2, coexec_pb2_grpc, engine_pb2, inference_pb2, model_config_pb2
from coexec.protos.inference_pb2_grpc import GRPCInferenceServiceStub

from .arguments import version_text
from .base import (
    CHANNEL_OPTIONS,
    ClientBase,
    Inputs,
    Model,
    Version,
    load_request,
    make_call,
    pairs,
    register_request,
    states_from,
    timeline_request,
    unregister_requests,
    watch_request,
)
from .calls import (
    MESSAGE_ONLY,
    Call,
    Layout,
    ModelMetadata,
    ModelState,
    Result,
    infer_many_request,
    infer_request,
    is_region_failure,
    metadata_from,
    result_from,
    results_from,
)
from .errors import CoexecError, UnavailableError, error_from_call
from .regions import Region

_Answer = TypeVar("_Answer")
_CLOSE_TIMEOUT_S = 1.0


class AsyncClient(ClientBase):
    """Client for asyncio: the same methods, awaited. Make it where its event loop runs.

        async with AsyncClient() as client:
            result = await client.infer("scene_classify", image)

    A call that is cancelled is cancelled in the daemon too.
    """

    def __init__(self, address: str | None = None, *, shared_memory: bool = True) -> None:
        super().__init__(address, shared_memory)
        self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        self._stub = GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._coexec = coexec_pb2_grpc.CoexecStub(self._channel)  # type: ignore[no-untyped-call]
        self._finalizer = weakref.finalize(self, self._pool.close)

    async def close(self) -> None:
        """Unregister and remove the shared memory, and hang up."""
        self._finalizer()
        await self._unregister_dropped()
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
        models = pairs([(model, version)])
        call = await self._call(models, inputs, outputs, deadline_us, priority, request_id)

        async def send(region: Region | None, layout: Layout) -> Result:
            request = infer_request(call, region, layout)
            response = await self._rpc(self._stub.ModelInfer, request, timeout_s)
            return result_from(response, region, layout)

        return await self._send(call, send)

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
        named = pairs(models)
        call = await self._call(named, inputs, outputs, deadline_us, priority, request_id)

        async def send(region: Region | None, layout: Layout) -> dict[str, Result | CoexecError]:
            request = infer_many_request(call, region, layout)
            response = await self._rpc(self._coexec.InferMany, request, timeout_s)
            return results_from(call, response, region, layout)

        return await self._send(call, send)

    async def stream(
        self,
        model: str,
        inputs: AsyncIterable[Inputs],
        *,
        version: Version = "",
        outputs: Sequence[str] | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
    ) -> AsyncIterator[Result | CoexecError]:
        """Send inputs as they come and yield answers as they come; see Client.stream."""
        models = pairs([(model, version)])
        lent: dict[str, tuple[Region | None, Layout]] = {}
        failures: list[Exception] = []

        async def requests() -> AsyncIterator[inference_pb2.ModelInferRequest]:
            number = 0
            try:
                async for item in inputs:
                    call = await self._call(
                        models, item, outputs, deadline_us, priority, str(number)
                    )
                    region, layout = await self._lease(call)
                    lent[call.request_id] = region, layout
                    yield infer_request(call, region, layout)
                    number += 1
            except Exception as error:  # grpc would hide it
                failures.append(error)

        responses = self._stub.ModelStreamInfer(requests())
        try:
            async for response in responses:
                yield self._stream_answer(response, lent)
            if failures:
                raise failures[0]
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        finally:
            responses.cancel()
            for region, _ in lent.values():
                self._retire(region)

    # The daemon and its models

    async def live(self) -> bool:
        """Whether a daemon answers."""
        try:
            return bool(
                (await self._rpc(self._stub.ServerLive, inference_pb2.ServerLiveRequest())).live
            )
        except UnavailableError:
            return False

    async def ready(self, model: str | None = None, version: Version = "") -> bool:
        """Whether the daemon, or a model, takes requests."""
        if model is None:
            request = inference_pb2.ServerReadyRequest()
            return bool((await self._rpc(self._stub.ServerReady, request)).ready)
        asked = inference_pb2.ModelReadyRequest(name=model, version=version_text(version))
        return bool((await self._rpc(self._stub.ModelReady, asked)).ready)

    async def models(self) -> list[ModelState]:
        """Every model of the repository and its state."""
        request = inference_pb2.RepositoryIndexRequest()
        return states_from(await self._rpc(self._stub.RepositoryIndex, request))

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
        self._known.clear()
        await self._rpc(
            self._stub.RepositoryModelLoad, load_request(name, config, files), timeout_s
        )

    async def unload(self, name: str) -> None:
        """Unload a model. What it is computing finishes first."""
        self._known.clear()
        request = inference_pb2.RepositoryModelUnloadRequest(model_name=name)
        await self._rpc(self._stub.RepositoryModelUnload, request)

    async def metadata(self, model: str, version: Version = "") -> ModelMetadata:
        """What a model takes and gives."""
        request = inference_pb2.ModelMetadataRequest(name=model, version=version_text(version))
        return metadata_from(await self._rpc(self._stub.ModelMetadata, request))

    async def config(self, model: str, version: Version = "") -> model_config_pb2.ModelConfig:
        """A model's configuration."""
        request = inference_pb2.ModelConfigRequest(name=model, version=version_text(version))
        config: model_config_pb2.ModelConfig = (
            await self._rpc(self._stub.ModelConfig, request)
        ).config
        return config

    async def statistics(
        self, model: str = "", version: Version = ""
    ) -> list[inference_pb2.ModelStatistics]:
        """Counts and durations since the start, of one model or of all."""
        request = inference_pb2.ModelStatisticsRequest(name=model, version=version_text(version))
        return list((await self._rpc(self._stub.ModelStatistics, request)).model_stats)

    async def watch_statistics(self, period_s: float = 1.0) -> AsyncIterator[coexec_pb2.Statistics]:
        """Statistics of models and engine, at once and then every period, without end."""
        snapshots = self._coexec.WatchStatistics(watch_request(period_s))
        try:
            async for snapshot in snapshots:
                yield snapshot
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        finally:
            snapshots.cancel()

    async def reuse_report(self) -> engine_pb2.SharingReport:
        """What the loaded models share and what that has saved."""
        request = coexec_pb2.ReuseReportRequest()
        report: engine_pb2.SharingReport = await self._rpc(self._coexec.ReuseReport, request)
        return report

    async def plan(self) -> engine_pb2.EnginePlan:
        """How the loaded models are cut into segments."""
        plan: engine_pb2.EnginePlan = await self._rpc(self._coexec.Plan, coexec_pb2.PlanRequest())
        return plan

    async def timeline(self, window_s: float = 0.0) -> engine_pb2.TimelineWindow:
        """Every step of the last `window_s` seconds; 0: all that is kept."""
        request = timeline_request(window_s)
        window: engine_pb2.TimelineWindow = await self._rpc(self._coexec.Timeline, request)
        return window

    # Inside

    async def _rpc(
        self,
        method: Callable[..., Awaitable[Any]],
        request: object,
        timeout_s: float | None = None,
    ) -> Any:
        try:
            return await method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None

    async def _call(
        self,
        models: Sequence[tuple[str, str]],
        inputs: Inputs,
        outputs: Sequence[str] | None,
        deadline_us: int | None,
        priority: int,
        request_id: str,
    ) -> Call:
        """The call, with the models' metadata where they matter."""
        known: list[ModelMetadata | None] = [None] * len(models)
        if self._shares or not isinstance(inputs, Mapping):
            for i, model in enumerate(models):
                with contextlib.suppress(CoexecError):  # the call itself will say what is wrong
                    if model not in self._known:
                        self._known[model] = await self.metadata(*model)
                    known[i] = self._known[model]
        if not isinstance(inputs, Mapping) and known[0] is None:
            known[0] = await self.metadata(*models[0])
        return make_call(models, known, inputs, outputs, deadline_us, priority, request_id)

    async def _send(
        self, call: Call, send: Callable[[Region | None, Layout], Awaitable[_Answer]]
    ) -> _Answer:
        """Send by shared memory where that is to be had, and else, or if it fails, by message."""
        region, layout = await self._lease(call)
        if region is None:
            return await send(None, MESSAGE_ONLY)
        try:
            answer = await send(region, layout)
        except CoexecError as error:
            self._after_failure(region, error)
            if not is_region_failure(error):
                raise
            self._forget()
            return await send(None, MESSAGE_ONLY)
        except BaseException:
            self._retire(region)
            raise
        self._pool.give(region)
        return answer

    async def _lease(self, call: Call) -> tuple[Region | None, Layout]:
        """A registered region for the call's large tensors, where one can be had."""
        layout = self._layout(call)
        region = self._pool.take(layout.byte_size) if layout.byte_size else None
        await self._unregister_dropped()
        if region is None:
            return None, MESSAGE_ONLY
        try:
            if not region.registered:
                request = register_request(region)
                await self._rpc(self._stub.SystemSharedMemoryRegister, request)
                region.registered = True
        except BaseException as error:
            self._after_refusal(region, error)
            return None, MESSAGE_ONLY
        return region, layout

    async def _unregister_dropped(self) -> None:
        for request in unregister_requests(self._pool):
            with contextlib.suppress(grpc.RpcError):
                await self._stub.SystemSharedMemoryUnregister(request, timeout=_CLOSE_TIMEOUT_S)
