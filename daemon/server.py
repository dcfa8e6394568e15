"""The daemon: its parts put together, its start and its end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import structlog

from coexec.compiler.apart import Limits
from coexec.compiler.errors import some_of
from coexec.daemon.flights import Flights
from coexec.daemon.hangs import HangLimits
from coexec.daemon.inference import Inference
from coexec.daemon.listen import Address, Tls, bind, parse_address
from coexec.daemon.logs import Logs
from coexec.daemon.metrics import Metrics, MetricsServer
from coexec.daemon.regions import Regions
from coexec.daemon.repository.cache import CompiledCache
from coexec.daemon.repository.compiling import Compiler
from coexec.daemon.repository.layout import model_folders
from coexec.daemon.repository.repository import Repository
from coexec.daemon.services import inference as inference_service
from coexec.daemon.services.coexec import CoexecService
from coexec.daemon.services.health import Health, reflection_handlers
from coexec.daemon.services.metadata import MetadataService
from coexec.daemon.services.model_repository import ModelRepositoryService
from coexec.daemon.services.settings import SettingsService
from coexec.daemon.services.shared_memory import SharedMemoryService
from coexec.daemon.settings import Settings
from coexec.daemon.snapshots import Snapshots
from coexec.daemon.state import StateStore
from coexec.daemon.supervisor import Supervisor
from coexec.scheduler._core import Channel
from coexec.scheduler.engine.client import EngineOptions

INFERENCE_SERVICE = "inference.GRPCInferenceService"
COEXEC_SERVICE = "coexec.v1.Coexec"
_RING_BYTES = 1 << 20
_log = structlog.get_logger("daemon")


class Daemon:
    """One event loop owns it."""

    def __init__(self, settings: Settings, logs: Logs) -> None:
        """Raises StateError, SettingsError."""
        settings.require_folders()
        self._settings = settings
        folder = Path(settings.state_dir)
        self._store = StateStore(folder)
        self._channel = Channel(settings.input_bytes_max, settings.output_bytes_max, _RING_BYTES)
        self._flights = Flights(self._channel, settings.in_flight_max)
        self._supervisor = Supervisor(
            self._channel,
            self._flights,
            _engine_options(settings),
            HangLimits(settings.hang_seconds * 1_000_000),
        )
        limits = Limits(settings.compile_seconds_max, settings.compile_bytes_max)
        self._compiler = Compiler(limits, folder / "tuning")
        self._repository = Repository(
            [Path(each) for each in settings.model_repository],
            self._store,
            CompiledCache(folder / "compiled", settings.cache_bytes_max),
            self._compiler,
            self._supervisor,
            self._flights,
        )
        self._regions = Regions()
        self._snapshots = Snapshots(self._repository, self._supervisor)
        self._inference = Inference(self._repository, self._regions, self._flights, self._channel)
        self._logs = logs
        self._health = Health([INFERENCE_SERVICE, COEXEC_SERVICE])
        self._server: grpc.aio.Server = _make_server(settings, self._handlers())
        self._metrics: MetricsServer | None = None
        self._bound: list[Address] = []

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises ListenError."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        try:
            await self._start()
            loading = asyncio.create_task(self._load())
            await stopping.wait()
            loading.cancel()
            _log.info("stopping", in_flight=len(self._flights))
        finally:
            await self._stop()
        _log.info("stopped")

    async def _start(self) -> None:
        settings = self._settings
        tls = _tls(settings)
        ports = []
        for text in settings.listen:
            address = parse_address(text)
            ports.append(bind(self._server, address, tls))
            self._bound.append(address)
        if settings.http:
            self._metrics = MetricsServer(
                parse_address(settings.http),
                Metrics(self._snapshots, self._flights, self._regions),
            )
        # Nothing is said before all that was asked for is there.
        for text, port in zip(settings.listen, ports, strict=True):
            _log.info("listening", address=text, **({"port": port} if port else {}))
        if self._metrics is not None:
            _log.info("metrics", url=self._metrics.url)
        await self._supervisor.start()
        await self._server.start()

    async def _load(self) -> None:
        await self._repository.load_at_start(self._settings.model_control == "all")
        gc.collect()
        gc.freeze()  # what stays for good need not be looked through while requests wait
        await self._health.set_serving()
        _log.info("ready", models=len(self._repository.loaded()), listen=self._settings.listen)
        if not self._repository.loaded():
            _log.warning("no model is loaded", **_what_to_do(self._settings))

    async def _stop(self) -> None:
        """Finish what is in flight, for a bounded time."""
        await self._health.set_stopping()
        await self._server.stop(self._settings.drain_seconds)
        await self._supervisor.stop()
        self._compiler.server.close()
        if self._metrics is not None:
            self._metrics.close()
        for address in self._bound:
            if address.path is not None:
                address.path.unlink(missing_ok=True)
        self._store.close()

    def _handlers(self) -> list[Any]:
        metadata = MetadataService(
            self._repository, self._snapshots, lambda: self._health.is_serving
        )
        services: dict[str, dict[str, Any]] = {
            INFERENCE_SERVICE: {
                **inference_service.handlers(self._inference),
                **metadata.handlers(),
                **ModelRepositoryService(self._repository).handlers(),
                **SharedMemoryService(self._regions).handlers(),
                **SettingsService(self._repository, self._logs).handlers(),
            },
            COEXEC_SERVICE: CoexecService(
                self._inference, self._snapshots, self._supervisor
            ).handlers(),
            **self._health.services(),
        }
        services |= reflection_handlers(list(services))
        return [
            grpc.method_handlers_generic_handler(name, methods)
            for name, methods in services.items()
        ]


def _make_server(settings: Settings, handlers: Sequence[Any]) -> grpc.aio.Server:
    options = [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers(tuple(handlers))
    return server


def _engine_options(settings: Settings) -> EngineOptions:
    return EngineOptions(
        lanes=settings.lanes(),
        onnxruntime_lanes=settings.onnxruntime_lanes,
        reuse=settings.reuse,
        quantum_us=settings.quantum_us,
        queue_len_max=settings.queue_len_max,
    )


def _what_to_do(settings: Settings) -> dict[str, str]:
    """Why no model is loaded, and how to load one."""
    held = sorted(model_folders([Path(each) for each in settings.model_repository]))
    where = ", ".join(settings.model_repository)
    if held:
        why = f"{where} holds {some_of(held)}, and none of it was to be loaded, or could be"
        how = f"`coexec load {held[0]}`; `coexec models` says what is the matter with each"
    elif where:
        why = f"{where} holds no model; one lies in NAME/VERSION/model.onnx"
        how = "put it there and `coexec load NAME`, or send one: `coexec load NAME --onnx FILE`"
    else:
        why = "no --model-repository is given"
        how = "give one (it holds NAME/VERSION/model.onnx), or `coexec load NAME --onnx FILE`"
    return {"why": why, "how": how}


def _tls(settings: Settings) -> Tls | None:
    if not settings.tls_certificate:
        return None
    ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
    return Tls(Path(settings.tls_certificate), Path(settings.tls_key), ca)
