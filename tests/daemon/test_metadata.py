"""What the server says about itself and its models; health; reflection; settings."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from .conftest import Daemon, tensor

X = np.ones((3, 8), np.float32)


def test_the_server(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata.name == "coexec"
    assert metadata.version
    assert {"statistics", "system_shared_memory", "model_repository"} <= set(metadata.extensions)
    assert "cuda_shared_memory" not in metadata.extensions


def test_a_models_metadata(client: triton.InferenceServerClient) -> None:
    metadata = client.get_model_metadata("mlp", as_json=True)
    assert metadata == {
        "name": "mlp",
        "versions": ["1"],
        "platform": "coexec",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", "8"]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": ["-1", "8"]}],
    }
    assert list(client.get_model_metadata("versions").versions) == ["1", "2"]
    strings = client.get_model_metadata("strings")
    assert (strings.inputs[0].datatype, list(strings.inputs[0].shape)) == ("BYTES", [4])
    with pytest.raises(InferenceServerException, match="unknown model: 'nobody'") as caught:
        client.get_model_metadata("nobody")
    assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_what_perf_analyzer_reads(client: triton.InferenceServerClient) -> None:
    """Metadata carries the batch dim that the configuration leaves out, and no scheduler that
    is not meant is set."""
    metadata = client.get_model_metadata("batched")
    config = client.get_model_config("batched").config
    assert config.max_batch_size == 4
    assert list(metadata.inputs[0].shape) == [-1, 8]
    assert list(config.input[0].dims) == [8]
    assert {entry.name for entry in config.input} == {entry.name for entry in metadata.inputs}
    assert config.WhichOneof("scheduling_choice") is None
    assert not config.model_transaction_policy.decoupled
    assert not config.HasField("response_cache")
    as_json = client.get_model_config("mlp", as_json=True)["config"]
    assert "dynamic_batching" not in as_json
    assert as_json["input"][0]["dims"] == ["-1", "8"]
    assert as_json["input"][0]["data_type"] == "TYPE_FP32"


def test_statistics_count_as_tritons_do(client: triton.InferenceServerClient) -> None:
    def read() -> Any:
        return client.get_inference_statistics("batched").model_stats[0]

    before = read()
    for _ in range(4):
        client.infer("batched", [tensor("x", X)])
    with pytest.raises(InferenceServerException):
        client.infer("batched", [tensor("x", np.ones((9, 8), np.float32))])
    after = read()
    assert after.inference_count - before.inference_count == 12  # batch elements
    assert after.execution_count - before.execution_count == 4
    assert after.inference_stats.fail.count - before.inference_stats.fail.count == 1
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        old, new = (getattr(each.inference_stats, part) for each in (before, after))
        assert new.count - old.count == 4
        assert new.ns >= old.ns
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    total = after.inference_stats.success.ns - before.inference_stats.success.ns
    inside = sum(
        getattr(after.inference_stats, part).ns - getattr(before.inference_stats, part).ns
        for part in parts
    )
    assert 0 < inside <= total
    assert after.last_inference > before.last_inference or before.last_inference
    assert {row.batch_size for row in after.batch_stats} >= {3}
    assert after.memory_usage[0].byte_size >= 2 * 8 * 8 * 4


def test_statistics_of_all_and_of_none(client: triton.InferenceServerClient) -> None:
    rows = client.get_inference_statistics().model_stats
    assert {"add", "identity", "versions"} <= {row.name for row in rows}
    assert len(client.get_inference_statistics("versions").model_stats) == 2
    assert len(client.get_inference_statistics("versions", "2").model_stats) == 1
    for name, version in (("nobody", ""), ("versions", "7")):
        with pytest.raises(InferenceServerException, match="is not found"):
            client.get_inference_statistics(name, version)


def test_trace_settings(client: triton.InferenceServerClient) -> None:
    def values(settings: Any) -> dict[str, list[str]]:
        return {key: list(setting.value) for key, setting in settings.settings.items()}

    defaults = values(client.get_trace_settings())
    assert defaults["trace_level"] == ["OFF"]
    assert defaults["trace_rate"] == ["1000"]
    changed = {"trace_level": ["TIMESTAMPS", "TENSORS"], "trace_rate": "5"}
    client.update_trace_settings(settings=changed)
    try:
        own = values(client.update_trace_settings("mlp", {"trace_count": "9"}))
        assert own["trace_count"] == ["9"]
        assert own["trace_rate"] == ["5"]
        assert values(client.get_trace_settings())["trace_count"] == ["-1"]
        cleared = values(client.update_trace_settings("mlp", {"trace_count": None}))
        assert cleared["trace_count"] == ["-1"]
    finally:
        client.update_trace_settings(settings={"trace_level": None, "trace_rate": None})
    assert values(client.get_trace_settings()) == defaults
    for bad, text in (
        ({"trace_colour": "red"}, "'trace_colour' is not known"),
        ({"trace_level": ["SOME"]}, "none of OFF, TIMESTAMPS, TENSORS"),
        ({"trace_rate": "often"}, "a whole number"),
        ({"trace_rate": ["1", "2"]}, "takes one value"),
    ):
        with pytest.raises(InferenceServerException, match=text):
            client.update_trace_settings(settings=bad)
    with pytest.raises(InferenceServerException, match="unknown model"):
        client.get_trace_settings("nobody")


def test_log_settings_take_effect(client: triton.InferenceServerClient, daemon: Daemon) -> None:
    settings = client.get_log_settings().settings
    assert settings["log_info"].bool_param
    assert settings["log_format"].string_param == "default"
    client.update_log_settings({"log_file": "other.log", "log_format": "ISO8601"})
    try:
        client.unload_model("uint8")
        client.load_model("uint8")
        written = (daemon.folder / "state" / "logs" / "other.log").read_text()
        assert "model loaded" in written
        assert "T" in written.split()[0]
        client.update_log_settings({"log_info": False})
        client.unload_model("uint8")
        client.load_model("uint8")
        assert (daemon.folder / "state" / "logs" / "other.log").read_text() == written
    finally:
        client.update_log_settings(
            {"log_file": "", "log_format": "default", "log_info": True, "log_verbose_level": 0}
        )
    for bad, text in (
        ({"log_file": "../x"}, "must be a plain name"),
        ({"log_colour": True}, "'log_colour' is not known"),
        ({"log_format": "xml"}, "log_format is none of"),
    ):
        with pytest.raises(InferenceServerException, match=text):
            client.update_log_settings(bad)
    request = service_pb2.LogSettingsRequest()
    request.settings["log_info"].uint32_param = 1
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="takes a bool, 1 is given"):
            stub.LogSettings(request)


@pytest.mark.parametrize("service", ["", "inference.GRPCInferenceService", "coexec.v1.Coexec"])
def test_health(daemon: Daemon, service: str) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        assert stub.Check(request).status == health_pb2.HealthCheckResponse.SERVING
        watch = stub.Watch(request)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


def test_health_of_strangers(daemon: Daemon) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="stranger")
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(request)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(request)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watch.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(daemon: Daemon, version: str) -> None:
    from google.protobuf import descriptor_pb2

    def ask(**question: str) -> Any:
        with grpc.insecure_channel(daemon.address) as channel:
            call = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                reflection_pb2.ServerReflectionRequest.SerializeToString,
                reflection_pb2.ServerReflectionResponse.FromString,
            )
            return next(call(iter([reflection_pb2.ServerReflectionRequest(**question)])))

    services = {row.name for row in ask(list_services="").list_services_response.service}
    assert services == {
        "inference.GRPCInferenceService",
        "coexec.v1.Coexec",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for service in services:
        files = ask(file_containing_symbol=service).file_descriptor_response
        described = [
            descriptor_pb2.FileDescriptorProto.FromString(file)
            for file in files.file_descriptor_proto
        ]
        package, _, name = service.rpartition(".")
        assert any(
            file.package == package and name in [each.name for each in file.service]
            for file in described
        )
