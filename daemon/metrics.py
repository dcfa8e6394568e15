"""/metrics for Prometheus: Triton's names where the meaning is Triton's, ours for the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil

from coexec.daemon.device import add_device
from coexec.daemon.exposition import CONTENT_TYPE, Families
from coexec.daemon.flights import Flights
from coexec.daemon.listen import Address, ListenError, check_safe
from coexec.daemon.regions import Regions
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.snapshots import Snapshots
from coexec.daemon.statistics import FAILURE_REASONS
from coexec.protos import engine_pb2

_SNAPSHOT_TIMEOUT_S = 2.0


@dataclass(slots=True, eq=False)
class Metrics:
    """Collects from the daemon's parts. The event loop owns those; numbers are read as they
    stand."""

    snapshots: Snapshots
    flights: Flights
    regions: Regions

    async def text(self) -> str:
        engine = await self.snapshots.engine()
        families = Families()
        for version in self.snapshots.repository.loaded():
            _add_version(families, version)
        _add_programs(families, engine)
        _add_lanes(families, engine)
        self._add_daemon(families, engine)
        add_device(families)
        return families.text()

    def _add_daemon(self, families: Families, engine: engine_pb2.EngineSnapshot) -> None:
        flights, supervisor = self.flights, self.snapshots.supervisor
        values: Sequence[tuple[str, str, str, float]] = (
            ("gauge", "requests_in_flight", "Requests not yet answered", len(flights)),
            ("gauge", "requests_in_flight_max", "The bound on them", flights.flights_max),
            (
                "counter",
                "requests_refused_total",
                "Refused at it",
                flights.counters.refused,
            ),
            (
                "counter",
                "requests_resubmitted_total",
                "Handed to a new engine after the death of one",
                flights.counters.resubmitted,
            ),
            (
                "counter",
                "request_ring_full_total",
                "Times a request waited for room in the ring",
                flights.counters.ring_full,
            ),
            ("counter", "models_put_aside_total", "Blamed for deaths", flights.counters.blamed),
            (
                "counter",
                "engine_restarts_total",
                "Starts of the engine after a death",
                supervisor.counters.restarts,
            ),
            (
                "counter",
                "engine_faults_total",
                "Deaths by the engine's own fault",
                supervisor.counters.faults,
            ),
            (
                "counter",
                "engine_hangs_total",
                "Times the engine hung and was killed",
                supervisor.counters.hangs,
            ),
            ("gauge", "engine_up", "1 while an engine runs", int(supervisor.pid is not None)),
            ("gauge", "shared_memory_regions", "Registered regions", len(self.regions.select(""))),
            ("gauge", "daemon_resident_bytes", "Of the daemon", psutil.Process().memory_info().rss),
            ("gauge", "engine_resident_bytes", "Of the engine", engine.resident_bytes),
            ("gauge", "weight_bytes", "Weights stored, each once", engine.weight_bytes),
            (
                "gauge",
                "weight_bytes_alone",
                "Weights as if every program stored its own",
                engine.weight_bytes_alone,
            ),
            (
                "counter",
                "reply_memory_full_total",
                "Times the memory for results was exhausted",
                engine.slots_full,
            ),
            (
                "counter",
                "reply_ring_full_total",
                "Times a reply waited for room in the ring",
                engine.ring_full,
            ),
        )
        for kind, name, text, value in values:
            make = families.counter if kind == "counter" else families.gauge
            make(f"coexec_{name}", text).add(value)


def _add_version(families: Families, version: ModelVersion) -> None:
    numbers = version.statistics
    labels = {"model": version.name, "version": version.version_text}
    durations = {
        "request": numbers.success,
        "queue": numbers.queue,
        "compute_input": numbers.input,
        "compute_infer": numbers.infer,
        "compute_output": numbers.output,
    }
    counter = families.counter
    counter(
        "nv_inference_request_success", "Number of successful inference requests, all batch sizes"
    ).add(numbers.success.count, labels)
    failures = counter(
        "nv_inference_request_failure", "Number of failed inference requests, all batch sizes"
    )
    for reason in FAILURE_REASONS:
        failures.add(numbers.failures.get(reason, 0), labels | {"reason": reason})
    counter("nv_inference_count", "Number of inferences performed (batch elements)").add(
        numbers.inferences, labels
    )
    counter("nv_inference_exec_count", "Number of model executions performed").add(
        numbers.executions, labels
    )
    for name, duration in durations.items():
        counter(
            f"nv_inference_{name}_duration_us",
            f"Cumulative inference {name.replace('_', ' ')} duration in microseconds",
        ).add(duration.ns // 1000, labels)
    families.gauge(
        "nv_inference_pending_request_count", "Requests awaiting execution per model"
    ).add(numbers.pending, labels)
    families.gauge("nv_model_load_duration_secs", "Model load time in seconds").add(
        version.load_us / 1e6, labels
    )
    families.gauge("coexec_model_ready", "1 while the version is served").add(
        int(not version.aside), labels
    )
    families.gauge("coexec_model_programs", "Concrete shapes the version is loaded for").add(
        len(version.programs.all()), labels
    )


# Sums over the programs of a model version.
_PROGRAM_COUNTERS = (
    ("refused", "coexec_requests_not_admitted_total", "Refused at admission"),
    ("expired", "coexec_requests_expired_total", "Stopped at their deadline"),
    ("cancelled", "coexec_requests_cancelled_total", "Cancelled by their caller"),
    ("deadlines", "coexec_deadlines_total", "Finished requests that had a deadline"),
    ("deadlines_missed", "coexec_deadlines_missed_total", "Of those, finished after it"),
    ("jobs_shared", "coexec_jobs_shared_total", "Jobs answered by another request's run"),
    ("saved_us", "coexec_saved_us_total", "What those jobs would have cost, in microseconds"),
)


def _add_programs(families: Families, engine: engine_pb2.EngineSnapshot) -> None:
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for row in engine.programs:
        into = sums.setdefault((row.model, row.version), {"queue_len": 0})
        into["queue_len"] += row.queue_len
        for field, _, _ in _PROGRAM_COUNTERS:
            into[field] = into.get(field, 0) + getattr(row, field)
    for (model, version), values in sums.items():
        labels = {"model": model, "version": version}
        for field, name, text in _PROGRAM_COUNTERS:
            families.counter(name, text).add(values[field], labels)
        families.gauge("coexec_queue_len", "Requests waiting in the engine").add(
            values["queue_len"], labels
        )


def _add_lanes(families: Families, engine: engine_pb2.EngineSnapshot) -> None:
    for lane in engine.lanes:
        labels = {"lane": lane.name}
        families.counter("coexec_lane_busy_us_total", "Time a lane computed, in microseconds").add(
            lane.busy_us, labels
        )
        families.counter("coexec_lane_segments_total", "Segments a lane ran").add(
            lane.segments_run, labels
        )
        families.counter("coexec_lane_steps_total", "Steps a lane ran").add(lane.steps_run, labels)
        families.gauge("coexec_lane_cores", "Cores of a lane").add(len(lane.cores), labels)


class MetricsServer:
    """GET /metrics on threads of its own."""

    def __init__(self, address: Address, metrics: Metrics) -> None:
        """Call from the event loop that owns the daemon. Raises ListenError."""
        if address.path is not None:
            raise ListenError(f"{address.text}: metrics are served over TCP; give HOST:PORT")
        check_safe(address, None)
        loop = asyncio.get_running_loop()

        def page() -> str:
            collecting = asyncio.run_coroutine_threadsafe(metrics.text(), loop)
            return collecting.result(_SNAPSHOT_TIMEOUT_S)

        handler = type("Handler", (_Handler,), {"page": staticmethod(page)})
        try:
            self._server = ThreadingHTTPServer((address.host, address.port), handler)
        except OSError as error:
            raise ListenError(f"cannot listen on {address.text}: {error.strerror}") from None
        self.url = f"http://{address.host}:{self._server.server_address[1]}/metrics"
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = 10
    page: Callable[[], str]  # the server's

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self._answer(HTTPStatus.NOT_FOUND, "metrics are at /metrics\n")
            return
        try:
            self._answer(HTTPStatus.OK, self.page())
        except FutureTimeoutError:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "the daemon is too busy\n")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Scrapes are no news."""
