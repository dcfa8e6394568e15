"""coexec.v1: what the Open Inference Protocol lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from coexec.daemon.errors import RequestError
from coexec.daemon.inference import Inference
from coexec.daemon.services.handlers import streaming, unary, unary_bytes
from coexec.daemon.snapshots import Snapshots
from coexec.daemon.supervisor import Supervisor
from coexec.protos import coexec_pb2 as co_pb
from coexec.protos import engine_pb2
from coexec.scheduler.engine.client import EngineError, EngineProcess

R = TypeVar("R")
_PERIOD_MS_DEFAULT = 1000
_PERIOD_MS_MIN = 10


class CoexecService:
    def __init__(self, inference: Inference, snapshots: Snapshots, supervisor: Supervisor) -> None:
        self._inference = inference
        self._snapshots = snapshots
        self._supervisor = supervisor

    def handlers(self) -> dict[str, Any]:
        return {
            "InferMany": unary_bytes(self._inference.infer_many),
            "ReuseReport": unary(co_pb.ReuseReportRequest, self._reuse),
            "WatchStatistics": streaming(co_pb.WatchStatisticsRequest, self._watch),
            "Plan": unary(co_pb.PlanRequest, self._plan),
            "Timeline": unary(co_pb.TimelineRequest, self._timeline),
        }

    async def _reuse(self, _: co_pb.ReuseReportRequest) -> engine_pb2.SharingReport:
        return await self._ask(EngineProcess.reuse)

    async def _plan(self, _: co_pb.PlanRequest) -> engine_pb2.EnginePlan:
        return await self._ask(EngineProcess.plan)

    async def _timeline(self, request: co_pb.TimelineRequest) -> engine_pb2.TimelineWindow:
        return await self._ask(lambda engine: engine.timeline(request.window_us))

    async def _watch(
        self, request: co_pb.WatchStatisticsRequest
    ) -> AsyncIterator[co_pb.Statistics]:
        period_s = max(request.period_ms or _PERIOD_MS_DEFAULT, _PERIOD_MS_MIN) / 1000
        while True:
            yield await self._snapshots.everything()
            await asyncio.sleep(period_s)

    async def _ask(self, question: Callable[[EngineProcess], Awaitable[R]]) -> R:
        try:
            return await self._supervisor.ask(question)
        except EngineError as error:
            raise RequestError(grpc.StatusCode.INTERNAL, f"the engine: {error}") from None
