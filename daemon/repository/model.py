"""A model of the repository: its versions, and how it stands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from coexec.daemon.repository.version import ModelVersion
from coexec.protos import inference_pb2 as pb

READY = "READY"
UNAVAILABLE = "UNAVAILABLE"
LOADING = "LOADING"
UNLOADING = "UNLOADING"
NEVER_LOADED = "not loaded"


@dataclass(slots=True, eq=False)
class Model:
    """state, reason: of the model as a whole, for the index, when no version stands for it."""

    name: str
    versions: dict[int, ModelVersion] = field(default_factory=dict)
    state: str = UNAVAILABLE
    reason: str = NEVER_LOADED
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def index(self) -> list[pb.RepositoryIndexResponse.ModelIndex]:
        """A row per version; one for the model when there is none."""
        if not self.versions:
            return [self._row("", self.state, self.reason)]
        return [
            self._row(
                str(number),
                UNAVAILABLE if version.aside else self.state,
                version.aside or self.reason,
            )
            for number, version in sorted(self.versions.items())
        ]

    def _row(self, version: str, state: str, reason: str) -> pb.RepositoryIndexResponse.ModelIndex:
        return pb.RepositoryIndexResponse.ModelIndex(
            name=self.name, version=version, state=state, reason=reason
        )
