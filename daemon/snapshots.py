"""Statistics of the daemon and its engine, taken together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from coexec.daemon.errors import RequestError
from coexec.daemon.repository.repository import Repository
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.supervisor import Supervisor
from coexec.protos import coexec_pb2 as co_pb
from coexec.protos import engine_pb2
from coexec.protos import inference_pb2 as pb
from coexec.scheduler.engine.client import EngineError

_ANSWER_S = 1.0  # the daemon's own figures do not wait longer for the engine's


@dataclass(slots=True, eq=False)
class Snapshots:
    repository: Repository
    supervisor: Supervisor

    async def engine(self) -> engine_pb2.EngineSnapshot:
        """Empty while the engine restarts, or hangs."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self.supervisor.snapshot()
        except (RequestError, EngineError, TimeoutError):
            return engine_pb2.EngineSnapshot()

    async def statistics(self, versions: Sequence[ModelVersion]) -> pb.ModelStatisticsResponse:
        return self._statistics(versions, await self.engine())

    async def everything(self) -> co_pb.Statistics:
        engine = await self.engine()
        return co_pb.Statistics(
            time_ms=time.time_ns() // 1_000_000,
            models=self._statistics(self.repository.loaded(), engine),
            engine=engine,
            engine_restarts=self.supervisor.counters.restarts,
        )

    def _statistics(
        self, versions: Sequence[ModelVersion], engine: engine_pb2.EngineSnapshot
    ) -> pb.ModelStatisticsResponse:
        constant_bytes: dict[tuple[str, str], int] = {}
        for row in engine.programs:
            key = (row.model, row.version)
            constant_bytes[key] = max(constant_bytes.get(key, 0), row.constant_bytes)
        return pb.ModelStatisticsResponse(
            model_stats=[
                version.statistics.message(
                    version.name,
                    version.version_text,
                    constant_bytes.get((version.name, version.version_text), 0),
                )
                for version in versions
            ]
        )
