"""What the server and its models are: liveness, metadata, configuration, statistics."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as package_version
from typing import Any

from coexec.daemon.repository.repository import Repository
from coexec.daemon.services.handlers import unary
from coexec.daemon.snapshots import Snapshots
from coexec.protos import inference_pb2 as pb

# What the protocol lets clients look for. "sequence" and "cuda_shared_memory" are not served.
EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
)


class MetadataService:
    def __init__(
        self, repository: Repository, snapshots: Snapshots, is_ready: Callable[[], bool]
    ) -> None:
        self._repository = repository
        self._snapshots = snapshots
        self._is_ready = is_ready

    def handlers(self) -> dict[str, Any]:
        return {
            "ServerLive": unary(pb.ServerLiveRequest, self._live),
            "ServerReady": unary(pb.ServerReadyRequest, self._ready),
            "ModelReady": unary(pb.ModelReadyRequest, self._model_ready),
            "ServerMetadata": unary(pb.ServerMetadataRequest, self._server),
            "ModelMetadata": unary(pb.ModelMetadataRequest, self._model),
            "ModelConfig": unary(pb.ModelConfigRequest, self._config),
            "ModelStatistics": unary(pb.ModelStatisticsRequest, self._statistics),
        }

    def _live(self, _: pb.ServerLiveRequest) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    def _ready(self, _: pb.ServerReadyRequest) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=self._is_ready())

    def _model_ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        return pb.ModelReadyResponse(ready=self._repository.is_ready(request.name, request.version))

    def _server(self, _: pb.ServerMetadataRequest) -> pb.ServerMetadataResponse:
        return pb.ServerMetadataResponse(
            name="coexec", version=package_version("coexec"), extensions=EXTENSIONS
        )

    def _model(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        version = self._repository.find(request.name, request.version)
        return pb.ModelMetadataResponse(
            name=version.name,
            versions=self._repository.versions_of(version.name),
            platform=version.config.platform,
            inputs=[port.metadata() for port in version.inputs],
            outputs=[port.metadata() for port in version.outputs],
        )

    def _config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        version = self._repository.find(request.name, request.version)
        return pb.ModelConfigResponse(config=version.config)

    async def _statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        versions = self._repository.select(request.name, request.version)
        return await self._snapshots.statistics(versions)
