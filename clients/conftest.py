"""A small server of the daemon's services, without an engine, for the clients' tests."""

# ruff: noqa: N802 (gRPC names the methods)

import os
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, BinaryIO

import grpc
import numpy as np
import pytest

from coexec.clients.codec import decode, encode
from coexec.protos import (
    coexec_pb2,
    coexec_pb2_grpc,
    engine_pb2,
    inference_pb2,
    inference_pb2_grpc,
)

LARGE = 20_000  # float32: 80 KB


class FakeDaemon(inference_pb2_grpc.GRPCInferenceServiceServicer, coexec_pb2_grpc.CoexecServicer):
    """Models that double: y = 2x. It maps regions as a daemon does and counts calls."""

    def __init__(self) -> None:
        self.regions: dict[str, BinaryIO] = {}  # open, as their names may go
        self.regions_seen: set[str] = set()
        self.calls: list[str] = []
        self.requests: list[Any] = []
        self.grants_regions = True
        self.lose_regions = False  # as one that was started again
        self.fail_with: tuple[grpc.StatusCode, str] | None = None
        self.output_shape = [LARGE]
        self.hold = threading.Event()  # while it is clear, no inference is answered
        self.hold.set()
        self.arrived = threading.Semaphore(0)  # inferences
        self.ready_after = 0  # questions
        self.states: dict[str, list[str]] = {}  # of a model, by turns; the last stays

    def ServerLive(self, _request: Any, _context: Any) -> Any:
        return inference_pb2.ServerLiveResponse(live=True)

    def ServerReady(self, _request: Any, _context: Any) -> Any:
        self.ready_after -= 1
        return inference_pb2.ServerReadyResponse(ready=self.ready_after < 0)

    def ModelReady(self, request: Any, _context: Any) -> Any:
        ready = request.name != "absent" and self._state(request.name, ask=True) == "READY"
        return inference_pb2.ModelReadyResponse(ready=ready)

    def _state(self, name: str, ask: bool = False) -> str:
        states = self.states.get(name, ["READY"])
        return states.pop(0) if ask and len(states) > 1 else states[0]

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append("metadata")
        if request.name == "absent":
            context.abort(grpc.StatusCode.NOT_FOUND, "model 'absent' is not known")
        if self._state(request.name) != "READY":
            context.abort(grpc.StatusCode.UNAVAILABLE, f"model '{request.name}' is not loaded")
        response = inference_pb2.ModelMetadataResponse(name=request.name, versions=["1"])
        response.inputs.add(name="x", datatype="FP32", shape=[-1])
        if request.name == "pair":
            response.inputs.add(name="z", datatype="FP32", shape=[-1])
        response.outputs.add(name="y", datatype="FP32", shape=self.output_shape)
        return response

    def RepositoryIndex(self, _request: Any, _context: Any) -> Any:
        response = inference_pb2.RepositoryIndexResponse()
        response.models.add(name="double", version="1", state="READY")
        for name in self.states:
            if state := self._state(name):
                response.models.add(name=name, version="1", state=state)
        return response

    def RepositoryModelLoad(self, request: Any, _context: Any) -> Any:
        self.requests.append(request)
        return inference_pb2.RepositoryModelLoadResponse()

    def RepositoryModelUnload(self, request: Any, _context: Any) -> Any:
        self.requests.append(request)
        return inference_pb2.RepositoryModelUnloadResponse()

    def ModelStatistics(self, request: Any, _context: Any) -> Any:
        response = inference_pb2.ModelStatisticsResponse()
        response.model_stats.add(name=request.name, inference_count=3)
        return response

    def ModelConfig(self, request: Any, _context: Any) -> Any:
        response = inference_pb2.ModelConfigResponse()
        response.config.name = request.name
        return response

    def SystemSharedMemoryRegister(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append("register")
        if not self.grants_regions:
            context.abort(grpc.StatusCode.INTERNAL, "Unable to open shared memory region")
        path = Path("/dev/shm") / request.key.removeprefix("/")
        self.regions[request.name] = path.open("r+b", buffering=0)
        self.regions_seen.add(request.name)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.stat().st_size == request.byte_size
        return inference_pb2.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, _context: Any) -> Any:
        self.calls.append("unregister")
        self.regions.pop(request.name).close()
        return inference_pb2.SystemSharedMemoryUnregisterResponse()

    def _slot(self, parameters: Any) -> tuple[int, int, int] | None:
        if "shared_memory_region" not in parameters:
            return None
        name = parameters["shared_memory_region"].string_param
        if self.lose_regions or name not in self.regions:
            raise LookupError(f"Unable to find shared memory region: '{name}'")
        offset = parameters["shared_memory_offset"].int64_param
        size = parameters["shared_memory_byte_size"].int64_param
        return self.regions[name].fileno(), offset, size

    def _answer(self, model: str, version: str, request: Any, wanted: Any) -> Any:
        raw = iter(request.raw_input_contents)
        (tensor,) = request.inputs
        if (slot := self._slot(tensor.parameters)) is not None:
            data = os.pread(slot[0], slot[2], slot[1])
        else:
            data = next(raw)
        y = decode(tensor.datatype, tensor.shape, data) * np.float32(2)
        response = inference_pb2.ModelInferResponse(
            model_name=model, model_version=version or "1", id=request.id
        )
        response.outputs.add(name="y", datatype="FP32", shape=y.shape)
        place = self._slot(wanted[0].parameters) if wanted else None
        if place is None:
            response.raw_output_contents.append(encode(y))
            return response
        if place[2] < y.nbytes:
            raise LookupError(f"shared memory region should be at least {y.nbytes} bytes")
        os.pwrite(place[0], encode(y), place[1])
        response.raw_output_contents.append(b"")
        return response

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append("infer")
        self.requests.append(request)
        self.arrived.release()
        self.hold.wait(10)
        if self.fail_with:
            context.abort(*self.fail_with)
        if request.model_name == "absent":
            context.abort(grpc.StatusCode.NOT_FOUND, "model 'absent' is not known")
        if request.model_name == "odd":
            return inference_pb2.ModelInferResponse(raw_output_contents=[b"?"])
        try:
            return self._answer(request.model_name, request.model_version, request, request.outputs)
        except LookupError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))

    def InferMany(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.calls.append("infer_many")
        self.requests.append(request)
        try:  # what is wrong with an input is no single model's matter
            for tensor in request.inputs:
                self._slot(tensor.parameters)
        except LookupError as error:
            context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        response = coexec_pb2.InferManyResponse()
        for model in request.models:
            result = response.results.add()
            try:
                if model.name == "absent":
                    raise LookupError("model 'absent' is not known")
                if model.name == "picky":
                    result.code, result.message = 3, "unexpected shape for input 'x'"
                    continue
                if any(output.name != "y" for output in model.outputs):
                    result.code, result.message = 3, "unexpected inference output"
                    continue
                answer = self._answer(model.name, model.version, request, model.outputs)
                result.response.CopyFrom(answer)
            except LookupError as error:
                result.code, result.message = 5, str(error)
        return response

    def ModelStreamInfer(self, requests: Any, _context: Any) -> Any:
        for request in requests:
            response = inference_pb2.ModelStreamInferResponse()
            if request.id == "1":
                response.error_message = "a newer frame took its place"
            else:
                answer = self._answer(request.model_name, "", request, request.outputs)
                response.infer_response.CopyFrom(answer)
            yield response

    def ReuseReport(self, _request: Any, _context: Any) -> Any:
        report = engine_pb2.SharingReport(bytes_saved=2_500_000, saved_us=1.5e6)
        for shape in ([4], [8]):
            report.tensors.add(bytes=1000, shape=shape, users=["a/1", "b/1"], dtype="f32")
        report.segments.add(users=["a/1", "b/1"], layers=7, runs=10, hits=9, cost_us=120.5)
        report.segments.add(users=["a/1"], layers=3, runs=10)
        return report

    def Plan(self, _request: Any, _context: Any) -> Any:
        plan = engine_pb2.EnginePlan()
        plan.segments.add(layers=["conv"], lane_kind="cpu")
        return plan

    def Timeline(self, request: Any, _context: Any) -> Any:
        window = engine_pb2.TimelineWindow()
        for lane in ("cpu1", "cpu0"):
            window.spans.add(
                start_us=5, duration_us=request.window_us, lane=lane, name="conv", model="a"
            )
        return window

    def WatchStatistics(self, request: Any, context: grpc.ServicerContext) -> Any:
        for number in range(2):
            snapshot = coexec_pb2.Statistics(time_ms=request.period_ms + number)
            snapshot.engine.now_us = 1_000_000 * (number + 1)
            snapshot.engine.lanes.add(name="cpu0", busy_us=250_000 * number)
            snapshot.engine.programs.add(model="a", version="1", requests=30 * number)
            yield snapshot
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watchers")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[tuple[FakeDaemon, str]]:
    """A served FakeDaemon and its address."""
    servicer = FakeDaemon()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        servicer, server
    )
    coexec_pb2_grpc.add_CoexecServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    address = f"unix:{tmp_path}/fake.sock"
    server.add_insecure_port(address)
    server.start()
    yield servicer, address
    server.stop(None).wait()


Fake = tuple[FakeDaemon, str]
