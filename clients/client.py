"""The synchronous client."""

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

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
from .regions import Region, RegionPool

_Answer = TypeVar("_Answer")
_CLOSE_TIMEOUT_S = 1.0


class Client(ClientBase):
    """Calls a daemon. Safe with several threads; close it, or use it as a context manager.

        with Client() as client:
            result = client.infer("scene_classify", image)
            print(result["kind"], result.transport)

    address is `unix:PATH` or `HOST:PORT`; None is COEXEC_ADDRESS or the default socket. Tensors
    of more than 64 KB cross in shared memory when the daemon is on this machine and grants it;
    Result.transport says whether they did. Every method raises CoexecError or one of its kinds.
    timeout_s is how long the caller waits; the daemon treats it as a deadline too.
    """

    def __init__(self, address: str | None = None, *, shared_memory: bool = True) -> None:
        super().__init__(address, shared_memory)
        self._channel = grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        self._stub = GRPCInferenceServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._coexec = coexec_pb2_grpc.CoexecStub(self._channel)  # type: ignore[no-untyped-call]
        self._finalizer = weakref.finalize(self, _close, self._channel, self._stub, self._pool)

    def close(self) -> None:
        """Unregister and remove the shared memory, and hang up."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Inference

    def infer(
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
        """Run one model.

        inputs: name to array, or one array for a model with one input. outputs: those wanted,
        None for all. deadline_us: microseconds from now within which the answer is worth
        having; the daemon refuses what it cannot do in time. priority: 1 is the highest, 0 the
        default.
        """
        models = pairs([(model, version)])
        call = self._call(models, inputs, outputs, deadline_us, priority, request_id)

        def send(region: Region | None, layout: Layout) -> Result:
            request = infer_request(call, region, layout)
            return result_from(self._rpc(self._stub.ModelInfer, request, timeout_s), region, layout)

        return self._send(call, send)

    def infer_many(
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
        """Run several models on the same inputs; what they have in common is computed once.

        An input goes to every model that has one of its name. Returns, by name (`name/version`
        where a version was given), each model's answer or the error it met.
        """
        call = self._call(pairs(models), inputs, outputs, deadline_us, priority, request_id)

        def send(region: Region | None, layout: Layout) -> dict[str, Result | CoexecError]:
            request = infer_many_request(call, region, layout)
            response = self._rpc(self._coexec.InferMany, request, timeout_s)
            return results_from(call, response, region, layout)

        return self._send(call, send)

    def stream(
        self,
        model: str,
        inputs: Iterable[Inputs],
        *,
        version: Version = "",
        outputs: Sequence[str] | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
    ) -> Iterator[Result | CoexecError]:
        """Send inputs as they come over one call, and yield answers as they come.

        The n-th input (from 0) has request id `str(n)`. One that fails yields its error, and the
        stream goes on. Raises CoexecError when the stream itself breaks.
        """
        models = pairs([(model, version)])
        lent: dict[str, tuple[Region | None, Layout]] = {}
        failures: list[Exception] = []

        def requests() -> Iterator[inference_pb2.ModelInferRequest]:
            try:
                for number, item in enumerate(inputs):
                    call = self._call(models, item, outputs, deadline_us, priority, str(number))
                    region, layout = self._lease(call)
                    lent[call.request_id] = region, layout
                    yield infer_request(call, region, layout)
            except Exception as error:  # grpc would hide it
                failures.append(error)

        responses = self._stub.ModelStreamInfer(requests())
        try:
            for response in responses:
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

    def live(self) -> bool:
        """Whether a daemon answers."""
        try:
            return bool(self._rpc(self._stub.ServerLive, inference_pb2.ServerLiveRequest()).live)
        except UnavailableError:
            return False

    def ready(self, model: str | None = None, version: Version = "") -> bool:
        """Whether the daemon, or a model, takes requests."""
        if model is None:
            request = inference_pb2.ServerReadyRequest()
            return bool(self._rpc(self._stub.ServerReady, request).ready)
        asked = inference_pb2.ModelReadyRequest(name=model, version=version_text(version))
        return bool(self._rpc(self._stub.ModelReady, asked).ready)

    def models(self) -> list[ModelState]:
        """Every model of the repository and its state."""
        request = inference_pb2.RepositoryIndexRequest()
        return states_from(self._rpc(self._stub.RepositoryIndex, request))

    def load(
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
        self._rpc(self._stub.RepositoryModelLoad, load_request(name, config, files), timeout_s)

    def unload(self, name: str) -> None:
        """Unload a model. What it is computing finishes first."""
        self._known.clear()
        request = inference_pb2.RepositoryModelUnloadRequest(model_name=name)
        self._rpc(self._stub.RepositoryModelUnload, request)

    def metadata(self, model: str, version: Version = "") -> ModelMetadata:
        """What a model takes and gives."""
        request = inference_pb2.ModelMetadataRequest(name=model, version=version_text(version))
        return metadata_from(self._rpc(self._stub.ModelMetadata, request))

    def config(self, model: str, version: Version = "") -> model_config_pb2.ModelConfig:
        """A model's configuration."""
        request = inference_pb2.ModelConfigRequest(name=model, version=version_text(version))
        config: model_config_pb2.ModelConfig = self._rpc(self._stub.ModelConfig, request).config
        return config

    def statistics(
        self, model: str = "", version: Version = ""
    ) -> list[inference_pb2.ModelStatistics]:
        """Counts and durations since the start, of one model or of all."""
        request = inference_pb2.ModelStatisticsRequest(name=model, version=version_text(version))
        return list(self._rpc(self._stub.ModelStatistics, request).model_stats)

    def watch_statistics(self, period_s: float = 1.0) -> Iterator[coexec_pb2.Statistics]:
        """Statistics of models and engine, at once and then every period, without end."""
        snapshots = self._coexec.WatchStatistics(watch_request(period_s))
        try:
            yield from snapshots
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        finally:
            snapshots.cancel()

    def reuse_report(self) -> engine_pb2.SharingReport:
        """What the loaded models share and what that has saved."""
        request = coexec_pb2.ReuseReportRequest()
        report: engine_pb2.SharingReport = self._rpc(self._coexec.ReuseReport, request)
        return report

    def plan(self) -> engine_pb2.EnginePlan:
        """How the loaded models are cut into segments."""
        plan: engine_pb2.EnginePlan = self._rpc(self._coexec.Plan, coexec_pb2.PlanRequest())
        return plan

    def timeline(self, window_s: float = 0.0) -> engine_pb2.TimelineWindow:
        """Every step of the last `window_s` seconds; 0: all that is kept."""
        request = timeline_request(window_s)
        window: engine_pb2.TimelineWindow = self._rpc(self._coexec.Timeline, request)
        return window

    # Inside

    def _rpc(
        self, method: Callable[..., Any], request: object, timeout_s: float | None = None
    ) -> Any:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None

    def _call(
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
                        self._known[model] = self.metadata(*model)
                    known[i] = self._known[model]
        if not isinstance(inputs, Mapping) and known[0] is None:
            known[0] = self.metadata(*models[0])
        return make_call(models, known, inputs, outputs, deadline_us, priority, request_id)

    def _send(self, call: Call, send: Callable[[Region | None, Layout], _Answer]) -> _Answer:
        """Send by shared memory where that is to be had, and else, or if it fails, by message."""
        region, layout = self._lease(call)
        if region is None:
            return send(None, MESSAGE_ONLY)
        try:
            answer = send(region, layout)
        except CoexecError as error:
            self._after_failure(region, error)
            if not is_region_failure(error):
                raise
            self._forget()
            return send(None, MESSAGE_ONLY)
        except BaseException:
            self._retire(region)
            raise
        self._pool.give(region)
        return answer

    def _lease(self, call: Call) -> tuple[Region | None, Layout]:
        """A registered region for the call's large tensors, where one can be had."""
        layout = self._layout(call)
        region = self._pool.take(layout.byte_size) if layout.byte_size else None
        self._unregister_dropped()
        if region is None:
            return None, MESSAGE_ONLY
        try:
            if not region.registered:
                self._rpc(self._stub.SystemSharedMemoryRegister, register_request(region))
                region.registered = True
        except BaseException as error:
            self._after_refusal(region, error)
            return None, MESSAGE_ONLY
        return region, layout

    def _unregister_dropped(self) -> None:
        _unregister(self._stub, self._pool)


def _unregister(stub: Any, pool: RegionPool) -> None:
    for request in unregister_requests(pool):
        with contextlib.suppress(grpc.RpcError):
            stub.SystemSharedMemoryUnregister(request, timeout=_CLOSE_TIMEOUT_S)


def _close(channel: grpc.Channel, stub: Any, pool: RegionPool) -> None:
    pool.close()
    _unregister(stub, pool)
    channel.close()
