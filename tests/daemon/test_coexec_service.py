"""coexec.v1: several models on one input, what they share, statistics, plan, timeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from coexec.protos import coexec_pb2 as pb
from coexec.protos import coexec_pb2_grpc, inference_pb2

from . import networks
from .conftest import Daemon, running

X = np.random.default_rng(5).standard_normal((4, 8)).astype(np.float32)


@pytest.fixture
def stub(daemon: Daemon) -> Iterator[Any]:
    with grpc.insecure_channel(daemon.address) as channel:
        yield coexec_pb2_grpc.CoexecStub(channel)


def many(*models: str, **more: Any) -> pb.InferManyRequest:
    request = pb.InferManyRequest(id="q", raw_input_contents=[X.tobytes()], **more)
    request.inputs.add(name="x", datatype="FP32", shape=X.shape)
    for name in models:
        request.models.add(name=name)
    return request


def test_several_models_on_one_input(stub: Any) -> None:
    results = stub.InferMany(many("mlp", "batched", "any_shape")).results
    assert [row.code for row in results] == [0, 0, 0]
    for row, name in zip(results, ("mlp", "batched", "any_shape"), strict=True):
        assert (row.response.model_name, row.response.id) == (name, "q")
        got = np.frombuffer(row.response.raw_output_contents[0], np.float32).reshape(4, 8)
        want = X if name == "any_shape" else networks.mlp_answer(X)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    assert results[0].response.raw_output_contents == results[1].response.raw_output_contents


def test_one_models_refusal_is_in_its_result(stub: Any) -> None:
    results = stub.InferMany(many("mlp", "nobody", "identity", "add")).results
    assert [row.code for row in results] == [0, 5, 3, 3]
    assert "unknown model: 'nobody'" in results[1].message
    assert "unexpected shape for input 'x'" in results[2].message
    assert "got 0 inputs for model 'add': 'a', 'b' are missing; it does not take 'x'" in (
        results[3].message
    )
    assert not results[1].HasField("response")


def test_bad_inputs_are_the_calls(stub: Any) -> None:
    request = many("mlp")
    del request.raw_input_contents[:]
    with pytest.raises(grpc.RpcError) as caught:
        stub.InferMany(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert stub.InferMany(many()).results == []
    stray = many("mlp")
    stray.inputs.add(name="stray", datatype="FP32", shape=[1])
    stray.raw_input_contents.append(bytes(4))
    with pytest.raises(grpc.RpcError) as caught:
        stub.InferMany(stray)
    assert "no model of the call has an input 'stray'" in caught.value.details()


def test_chosen_outputs(stub: Any) -> None:
    request = many("mlp")
    request.models[0].outputs.add(name="y")
    request.models[0].version = "1"
    assert len(stub.InferMany(request).results[0].response.outputs) == 1
    request.models[0].outputs[0].name = "z"
    assert stub.InferMany(request).results[0].code == 3


def test_plan_and_timeline(stub: Any) -> None:
    stub.InferMany(many("mlp", "batched"))
    plan = stub.Plan(pb.PlanRequest())
    users = {user for segment in plan.segments for user in segment.users}
    assert "identity/1" in users
    assert all(segment.layers for segment in plan.segments)
    spans = stub.Timeline(pb.TimelineRequest()).spans
    assert {span.model for span in spans} & {"mlp", "batched"}
    assert all(span.lane for span in spans)


def test_what_is_shared(stub: Any) -> None:
    stub.InferMany(many("mlp", "batched"))
    report = stub.ReuseReport(pb.ReuseReportRequest())
    shared = [row for row in report.tensors if {"mlp/1", "batched/1"} <= set(row.users)]
    assert len(shared) >= 2
    assert report.bytes_saved > 0


def test_statistics_are_watched(stub: Any) -> None:
    watch = stub.WatchStatistics(pb.WatchStatisticsRequest(period_ms=20))
    first, second = next(watch), next(watch)
    watch.cancel()
    assert second.time_ms >= first.time_ms
    names = {row.name for row in first.models.model_stats}
    assert {"mlp", "identity"} <= names
    assert first.engine.lanes
    assert first.engine.resident_bytes > 0


def test_no_reuse_gives_the_same_bits(tmp_path: Path, models: Path, stub: Any) -> None:
    wanted = stub.InferMany(many("mlp", "batched")).results
    with (
        running(tmp_path, "--no-reuse", models=models) as daemon,
        grpc.insecure_channel(daemon.address) as channel,
    ):
        alone = coexec_pb2_grpc.CoexecStub(channel)
        results = alone.InferMany(many("mlp", "batched")).results
        report = alone.ReuseReport(pb.ReuseReportRequest())
        assert not any(segment.hits for segment in report.segments)
    for got, want in zip(results, wanted, strict=True):
        assert got.response.raw_output_contents == want.response.raw_output_contents


def test_the_messages_are_the_protocols() -> None:
    assert pb.ModelResult().response == inference_pb2.ModelInferResponse()
