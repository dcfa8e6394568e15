"""The model repository: index, load, unload."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from coexec.daemon.errors import invalid
from coexec.daemon.repository.repository import Repository
from coexec.daemon.services.handlers import unary
from coexec.protos import inference_pb2 as pb


class ModelRepositoryService:
    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._working: set[asyncio.Task[None]] = set()

    def handlers(self) -> dict[str, Any]:
        return {
            "RepositoryIndex": unary(pb.RepositoryIndexRequest, self._index),
            "RepositoryModelLoad": unary(pb.RepositoryModelLoadRequest, self._load),
            "RepositoryModelUnload": unary(pb.RepositoryModelUnloadRequest, self._unload),
        }

    def _index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        return pb.RepositoryIndexResponse(models=self._repository.index(request.ready))

    async def _load(self, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        await self._to_the_end(self._repository.load(request.model_name, request.parameters))
        return pb.RepositoryModelLoadResponse()

    async def _unload(
        self, request: pb.RepositoryModelUnloadRequest
    ) -> pb.RepositoryModelUnloadResponse:
        for key, parameter in request.parameters.items():
            # No model here depends on another, so there is nothing more to unload.
            if (
                key != "unload_dependents"
                or parameter.WhichOneof("parameter_choice") != "bool_param"
            ):
                raise invalid(
                    f"failed to unload '{request.model_name}': parameter '{key}' is not known; "
                    "'unload_dependents' (bool_param) is"
                )
        await self._to_the_end(self._repository.unload(request.model_name))
        return pb.RepositoryModelUnloadResponse()

    async def _to_the_end(self, work: Coroutine[Any, Any, None]) -> None:
        """It goes on when its caller leaves: half an unloading would keep the memory."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        await asyncio.shield(task)
