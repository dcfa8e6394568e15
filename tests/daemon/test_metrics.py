"""/metrics."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from prometheus_client.parser import text_string_to_metric_families

from .conftest import Daemon, running, tensor, wait_for


def _read(daemon: Daemon) -> dict[tuple[str, str, str], float]:
    """Values by name, model and reason."""
    values = {}
    for family in text_string_to_metric_families(daemon.metrics()):
        for sample in family.samples:
            # The parser has every counter end in _total; Triton's do not.
            triton_name = sample.name.startswith("nv_") and family.type == "counter"
            name = sample.name.removesuffix("_total") if triton_name else sample.name
            labels = sample.labels
            values[name, labels.get("model", ""), labels.get("reason", "")] = sample.value
    return values


def test_tritons_names_and_ours(client: triton.InferenceServerClient, daemon: Daemon) -> None:
    before = _read(daemon)
    x = np.ones((3, 8), np.float32)
    for _ in range(5):
        client.infer("batched", [tensor("x", x)])
    after = _read(daemon)

    def grew(name: str, reason: str = "") -> float:
        key = (name, "batched", reason)
        return after[key] - before[key]

    assert grew("nv_inference_request_success") == 5
    assert grew("nv_inference_count") == 15
    assert grew("nv_inference_exec_count") == 5
    assert grew("nv_inference_request_failure", "REJECTED") == 0
    assert grew("nv_inference_request_duration_us") > 0
    assert after["nv_inference_pending_request_count", "batched", ""] == 0
    assert after["nv_model_load_duration_secs", "batched", ""] > 0
    assert after["coexec_model_ready", "batched", ""] == 1
    assert after["coexec_engine_up", "", ""] == 1
    assert after["coexec_engine_resident_bytes", "", ""] > 1e6
    assert (
        after["nv_cpu_memory_total_bytes", "", ""] > after["coexec_daemon_resident_bytes", "", ""]
    )
    for name in (
        "nv_cpu_utilization",
        "coexec_requests_in_flight",
        "coexec_requests_in_flight_max",
        "coexec_engine_restarts_total",
        "coexec_lane_busy_us_total",
        "coexec_deadlines_missed_total",
        "coexec_jobs_shared_total",
        "coexec_weight_bytes",
        "coexec_queue_len",
    ):
        assert any(key[0] == name for key in after), name


def test_the_form(daemon: Daemon) -> None:
    said = daemon.said(r"url=(http://\S+)")
    assert said is not None
    with urllib.request.urlopen(said[1], timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert '\nnv_inference_count{model="add",version="1"} ' in daemon.metrics()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(said[1].replace("/metrics", "/secrets"), timeout=10)


def test_metrics_answer_without_an_engine(tmp_path: Path, models: Path) -> None:
    with running(tmp_path, "--http", "127.0.0.1:0", models=models) as daemon:
        engine = wait_for(daemon.engine, "an engine")
        engine.kill()
        assert daemon.metric("coexec_requests_in_flight") == 0
        wait_for(lambda: _read(daemon)["coexec_engine_restarts_total", "", ""] == 1, "the restart")
        wait_for(lambda: _read(daemon)["coexec_engine_up", "", ""] == 1, "the next engine")
