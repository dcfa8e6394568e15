"""From a file in a repository to a model version that the engine runs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from coexec.compiler.signature import Signature, signature_from_json
from coexec.daemon.errors import invalid, unavailable
from coexec.daemon.repository.cache import CompiledCache, content_digest, entry_key
from coexec.daemon.repository.compiling import Compiler, read_compiled_signature
from coexec.daemon.repository.config import (
    ServingOptions,
    compile_options,
    complete_config,
    serving_options,
)
from coexec.daemon.repository.layout import VersionSource
from coexec.daemon.repository.programs import Programs, Shapes
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.supervisor import Program, Supervisor
from coexec.protos import model_config_pb2 as config_pb
from coexec.scheduler.engine.client import EngineError

_SIGNATURE = "signature.json"
_MODEL = "model.coexec"
_LABEL_BYTES_MAX = 1 << 20
_log = structlog.get_logger("repository")


@dataclass(slots=True, eq=False)
class Loader:
    """Compiles through the cache and loads into the engine."""

    compiler: Compiler
    cache: CompiledCache
    supervisor: Supervisor
    on_blame: Callable[[ModelVersion], None]

    async def load(
        self,
        name: str,
        source: VersionSource,
        given: config_pb.ModelConfig | None,
        known: Mapping[int, ModelVersion],
    ) -> ModelVersion:
        """The version, served by the engine; the one in `known` when nothing changed. Raises
        RequestError with the compiler's or the engine's words."""
        started = time.monotonic()
        content = await asyncio.to_thread(content_digest, source.file)
        written = b"" if given is None else given.SerializeToString(deterministic=True)
        identity = f"{source.file} {content} {written.hex()}"
        present = known.get(source.version)
        if present is not None and present.identity == identity and not present.aside:
            return present
        making = _Making(self, name, source, content, compile_options(given))
        signature, path = await making.first()
        config = complete_config(name, signature, given)
        version = ModelVersion(
            name=name,
            version=source.version,
            identity=identity,
            config=config,
            options=serving_options(name, config),
            signature=signature,
            programs=Programs(making.program, self.supervisor.unload),
            labels=_read_labels(name, source.file.parent.parent, config),
            on_blame=self.on_blame,
        )
        making.version = version
        if path is not None:
            version.programs.fixed = await making.load(path)
        version.load_us = int((time.monotonic() - started) * 1e6)
        _log.info("model loaded", model=name, version=source.version, us=version.load_us)
        return version


@dataclass(slots=True, eq=False)
class _Making:
    """Makes the programs of one version. content: the digest of its source."""

    loader: Loader
    name: str
    source: VersionSource
    content: str
    options: Mapping[str, str]
    version: ModelVersion | None = None

    async def first(self) -> tuple[Signature, Path | None]:
        """The signature, and the compiled model unless it takes concrete shapes to make one.
        Raises RequestError."""
        file = self.source.file
        if file.suffix == ".coexec":
            for option in self.options:
                raise invalid(
                    f"failed to load '{self.name}': parameter {option} is for .onnx models, which "
                    f"are compiled when they are loaded; version {self.source.version} is "
                    f"{file.name}, which is compiled already: compile it with --{option}, or "
                    "leave the parameter out"
                )
            return await asyncio.to_thread(read_compiled_signature, self.name, file), file
        entry = await self._entry({})
        signature = signature_from_json(json.loads((entry / _SIGNATURE).read_text()))
        path = entry / _MODEL
        return signature, path if path.exists() else None

    async def program(self, shapes: Shapes) -> Program:
        """The program for concrete shapes of all inputs. Raises RequestError."""
        version = self.version
        assert version is not None
        names = [port.name for port in version.inputs]
        path = await self._entry(dict(zip(names, shapes, strict=True))) / _MODEL
        signature = await asyncio.to_thread(read_compiled_signature, self.name, path)
        program = await self.load(path)
        if not signature.is_static and version.programs.fixed is None:
            version.programs.fixed = program  # it takes whatever the model takes
        return program

    async def load(self, path: Path) -> Program:
        """Into the engine. Raises RequestError."""
        assert self.version is not None
        program = _program(path, self.version)
        try:
            await self.loader.supervisor.load(program)
        except EngineError as error:
            raise unavailable(f"failed to load '{self.name}': {error}") from None
        return program

    async def _entry(self, shapes: Mapping[str, tuple[int, ...]]) -> Path:
        """The cache's folder of the model compiled for shapes."""
        loader, cache = self.loader, self.loader.cache
        options = {"name": self.name, **self.options}

        def key(measurements: str) -> str:
            identity = loader.compiler.identity(measurements)
            return entry_key(self.content, identity, options, shapes)

        measurements = loader.compiler.measurements
        found = cache.find(key(measurements))
        if found is not None:
            return found
        built = cache.building()
        try:
            outcome = await loader.compiler.compile(
                self.name, self.source.file, built / _MODEL, shapes, self.options
            )
            if outcome.signature is not None:
                (built / _SIGNATURE).write_text(json.dumps(asdict(outcome.signature)))
        except BaseException:
            cache.discard(built)
            raise
        # What tuning measured meanwhile is part of the key that the next load looks for.
        if outcome.report is not None:
            measurements = outcome.report["measurements"]
        entry = cache.keep(key(measurements), built)
        in_use = {path.parent for path in loader.supervisor.in_use()} | {entry}
        removed = await asyncio.to_thread(cache.prune, in_use)
        if removed:
            _log.info("compiled models removed from the cache", count=removed)
        return entry


def _program(path: Path, version: ModelVersion) -> Program:
    options: ServingOptions = version.options
    return Program(
        program_id=0,
        path=path,
        target=version,
        model=version.name,
        version=version.version_text,
        objective_us=options.objective_us,
        queue_len_max=options.queue_len_max,
        hang_us=options.hang_us,
    )


def _read_labels(name: str, folder: Path, config: config_pb.ModelConfig) -> dict[str, list[str]]:
    """The labels of each output that names a file of them. Raises RequestError."""
    labels = {}
    for output in config.output:
        file_name = output.label_filename
        if not file_name:
            continue
        path = folder / file_name
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or not path.is_file() or path.stat().st_size > _LABEL_BYTES_MAX:
            raise invalid(
                f"failed to load '{name}': label_filename '{file_name}' of output "
                f"'{output.name}' is no file of at most {_LABEL_BYTES_MAX} bytes in {folder.name}/"
            )
        labels[output.name] = path.read_text().splitlines()
    return labels
