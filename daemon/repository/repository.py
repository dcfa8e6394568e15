"""All models: which exist, which are loaded, and the loading and unloading of them."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from coexec.daemon.errors import RequestError, not_found, unavailable
from coexec.daemon.flights import Flights
from coexec.daemon.repository.cache import CompiledCache
from coexec.daemon.repository.compiling import Compiler
from coexec.daemon.repository.config import parse_json_config, read_config_file
from coexec.daemon.repository.layout import (
    check_name,
    find_versions,
    model_folders,
    others,
    parse_version,
    unknown_model,
    unknown_version,
)
from coexec.daemon.repository.loader import Loader
from coexec.daemon.repository.model import (
    LOADING,
    NEVER_LOADED,
    READY,
    UNAVAILABLE,
    UNLOADING,
    Model,
)
from coexec.daemon.repository.overrides import Override, keep_only, store_override
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.repository.warming import warm
from coexec.daemon.state import State, StateStore, StoredOverride
from coexec.daemon.supervisor import Supervisor
from coexec.protos import inference_pb2 as pb
from coexec.protos import model_config_pb2 as config_pb

_log = structlog.get_logger("repository")


class Repository:
    """One event loop owns it."""

    def __init__(
        self,
        folders: Sequence[Path],
        store: StateStore,
        cache: CompiledCache,
        compiler: Compiler,
        supervisor: Supervisor,
        flights: Flights,
    ) -> None:
        self._folders = folders
        self._store = store
        self._state = store.read()
        self._overrides = store.folder / "overrides"
        self._flights = flights
        self._loader = Loader(compiler, cache, supervisor, self._put_aside)
        self._models: dict[str, Model] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def find(self, name: str, version: str) -> ModelVersion:
        """What serves requests for the model; "" means the newest version. Raises RequestError."""
        model = self._models.get(name)
        if model is None or model.reason == NEVER_LOADED:
            raise self._not_served(name)
        number = parse_version(name, version)
        if not model.versions:
            raise unavailable(
                f"Request for unknown model: '{name}' has no available versions: {model.reason}"
            )
        if number is None:
            number = max(model.versions)
        found = model.versions.get(number)
        if found is None:
            raise unknown_version(name, number, model.versions)
        if found.aside:
            raise unavailable(f"model '{name}': {found.aside}")
        return found

    def loaded(self) -> list[ModelVersion]:
        """Every loaded version, by name and number."""
        return [
            model.versions[number]
            for _, model in sorted(self._models.items())
            for number in sorted(model.versions)
        ]

    def select(self, name: str, version: str) -> list[ModelVersion]:
        """The loaded versions that a statistics request names; "" selects all. Raises
        RequestError for one that is not there."""
        if not name:
            return self.loaded()
        model = self._models.get(name)
        if model is None or not model.versions:
            raise self._not_served(name)
        number = parse_version(name, version)
        if number is None:
            return [model.versions[key] for key in sorted(model.versions)]
        if number not in model.versions:
            raise unknown_version(name, number, model.versions)
        return [model.versions[number]]

    def versions_of(self, name: str) -> list[str]:
        return [str(number) for number in sorted(self._models[name].versions)]

    def is_ready(self, name: str, version: str) -> bool:
        try:
            self.find(name, version)
        except RequestError:
            return False
        return True

    def index(self, ready_only: bool) -> list[pb.RepositoryIndexResponse.ModelIndex]:
        names = {*model_folders(self._folders), *self._models}
        models = [self._models.get(name) or Model(name) for name in sorted(names)]
        rows = [row for model in models for row in model.index()]
        return [row for row in rows if row.state == READY] if ready_only else rows

    async def load_at_start(self, everything: bool) -> None:
        """What the repository holds, and what was loaded when the daemon ended. A model that
        fails is logged and left aside."""
        names = set(self._state.loaded)
        if everything:
            names |= set(model_folders(self._folders)) - self._state.unloaded
        await asyncio.gather(*map(self._load_at_start, sorted(names)))

    async def _load_at_start(self, name: str) -> None:
        override = self._state.overrides.get(name)
        await asyncio.to_thread(keep_only, self._overrides / name, override)
        try:
            model = self._models.setdefault(check_name(name), Model(name))
        except RequestError as error:
            _log.error("model not loaded", model=name, why=error.text)
            return
        with contextlib.suppress(RequestError):  # logged
            async with model.lock:
                await self._load(model, override)

    async def load(self, name: str, parameters: Mapping[str, pb.ModelRepositoryParameter]) -> None:
        """On a caller's request; it is loaded again when the daemon restarts. Raises
        RequestError; what served before goes on serving then."""
        given = Override.read(check_name(name), parameters)
        known = name in model_folders(self._folders)
        model = self._models.setdefault(name, Model(name))
        folder = self._overrides / name
        async with model.lock:
            try:
                # Without a configuration of its own, a load goes back to the repository's files.
                override = None if known else self._state.overrides.get(name)
                if given.config is not None:
                    parse_json_config(name, given.config)
                    override = await asyncio.to_thread(store_override, folder, given)
                await self._load(model, override)
                self._remember(name, override)
                await self._save()
            finally:
                await asyncio.to_thread(keep_only, folder, self._state.overrides.get(name))
                if not known and not model.versions:
                    self._models.pop(name, None)

    def _remember(self, name: str, override: StoredOverride | None) -> None:
        self._state.loaded.add(name)
        self._state.unloaded.discard(name)
        if override is None:
            self._state.overrides.pop(name, None)
        else:
            self._state.overrides[name] = override

    async def unload(self, name: str) -> None:
        """Its requests are answered and its memory is given back when this returns. Raises
        RequestError for a model that does not exist."""
        model = self._models.get(check_name(name))
        if model is None:
            if name not in model_folders(self._folders):
                raise self._not_served(name)
            model = self._models.setdefault(name, Model(name))
        async with model.lock:
            versions, model.versions = model.versions, {}
            model.state, model.reason = UNLOADING, "unloading"
            await asyncio.gather(*(self._close(version) for version in versions.values()))
            model.state, model.reason = UNAVAILABLE, "unloaded"
            self._state.loaded.discard(name)
            if name in model_folders(self._folders):
                self._state.unloaded.add(name)
            self._state.overrides.pop(name, None)
            await asyncio.to_thread(keep_only, self._overrides / name, None)
            await self._save()
        _log.info("model unloaded", model=name)
        await asyncio.to_thread(_trim_memory)

    async def _load(self, model: Model, override: StoredOverride | None) -> None:
        """With the model's lock held. Raises RequestError."""
        name = model.name
        before = model.state, model.reason
        model.state, model.reason = LOADING, "" if model.versions else "loading"
        try:
            versions = await self._load_versions(name, override, model.versions)
        except RequestError as error:
            model.state, model.reason = (READY, "") if model.versions else (UNAVAILABLE, error.text)
            _log.error("model not loaded", model=name, why=error.text, serving=[*model.versions])
            raise
        except BaseException:
            model.state, model.reason = before
            raise
        gone = [v for v in model.versions.values() if v not in versions.values()]
        model.versions = versions
        model.state, model.reason = READY, ""
        for version in gone:
            task = asyncio.create_task(self._close(version))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _load_versions(
        self, name: str, override: StoredOverride | None, known: Mapping[int, ModelVersion]
    ) -> dict[int, ModelVersion]:
        """All of them or none, ready to serve. Raises RequestError."""
        folder, given = self._folder_and_config(name, override)
        made: dict[int, ModelVersion] = {}
        try:
            for source in find_versions(name, folder, given):
                made[source.version] = await self._loader.load(name, source, given, known)
            await warm(made, known)
        except BaseException:
            for version in made.values():
                if version not in known.values():
                    await self._close(version)
            raise
        return made

    def _folder_and_config(
        self, name: str, override: StoredOverride | None
    ) -> tuple[Path, config_pb.ModelConfig | None]:
        if override is not None and override.folder:
            config = parse_json_config(name, override.config)
            return self._overrides / name / override.folder, config
        folders = model_folders(self._folders)
        folder = folders.get(name)
        if folder is None:
            raise not_found(
                f"failed to load '{name}', no version is available: no model repository holds "
                f"'{name}'; looked in {', '.join(map(str, self._folders)) or 'none'}"
                f"{others(name, folders)}"
            )
        if override is not None:
            return folder, parse_json_config(name, override.config)
        return folder, read_config_file(name, folder)

    async def _close(self, version: ModelVersion) -> None:
        await version.programs.close()
        self._flights.forget(version)

    def _put_aside(self, version: ModelVersion) -> None:
        """It is to blame for the engine's deaths."""
        _log.error(
            "model put aside", model=version.name, version=version.version, why=version.aside
        )
        self._flights.abandon(version, f"model '{version.name}': {version.aside}")
        task = asyncio.create_task(version.programs.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _save(self) -> None:
        state = State(
            set(self._state.loaded), set(self._state.unloaded), dict(self._state.overrides)
        )
        await asyncio.to_thread(self._store.write, state)

    def _not_served(self, name: str) -> RequestError:
        folders = model_folders(self._folders)
        if name in folders:
            return unavailable(f"Request for unknown model: '{name}' is not loaded; load it first")
        return unknown_model(name, {*folders, *self._models})


def _trim_memory() -> None:
    """Let the allocator give free pages back; serve.py makes it keep them otherwise."""
    ctypes.CDLL(None).malloc_trim(0)
