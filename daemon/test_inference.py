"""Which version serves a request, whatever happens to it meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from coexec.daemon.errors import RequestError
from coexec.daemon.inference import Call, Inference
from coexec.daemon.repository.programs import GoneError
from coexec.daemon.statistics import ModelStatistics
from coexec.daemon.wire import Buffer


class _Repository:
    """A model of which a version is gone once it is asked to run."""

    def __init__(self, *versions: Any) -> None:
        self._versions = list(versions)

    def find(self, _name: str, _version: str) -> Any:
        return self._versions[0]

    def replace(self) -> None:
        if len(self._versions) > 1:
            self._versions.pop(0)


class _Inference(Inference):
    def __init__(self, repository: Any) -> None:
        nothing: Any = None
        super().__init__(repository, nothing, nothing, nothing)
        self._changing = repository

    async def _run(self, call: Call) -> list[Buffer]:
        if call.version.name == "gone":
            self._changing.replace()
            raise GoneError(grpc.StatusCode.UNAVAILABLE, "unloaded meanwhile")
        return [b"done"]


def _version(name: str) -> Any:
    return SimpleNamespace(name=name, statistics=ModelStatistics())


def _call(version: Any) -> Any:
    return SimpleNamespace(version=version)


async def test_a_version_that_is_replaced_hands_its_requests_on() -> None:
    versions = [_version("gone"), _version("gone"), _version("new")]
    inference = _Inference(_Repository(*versions))
    assert await inference._serve("m", "", 0, _call) == [b"done"]
    for version in versions:
        assert version.statistics.pending == 0
        assert not version.statistics.failures


async def test_a_version_that_is_unloaded_fails_its_requests() -> None:
    version = _version("gone")
    with pytest.raises(RequestError, match="unloaded meanwhile"):
        await _Inference(_Repository(version))._serve("m", "", 0, _call)
    assert (version.statistics.pending, sum(version.statistics.failures.values())) == (0, 1)
