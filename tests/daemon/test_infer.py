"""ModelInfer as Triton's client and hand-made messages ask for it."""

from __future__ import annotations

import threading
from typing import Any

import grpc
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from . import networks
from .conftest import Daemon, tensor, wait_for
from .networks import mlp_answer

RNG = np.random.default_rng(3)


def test_values_come_back(client: triton.InferenceServerClient) -> None:
    a, b = (RNG.integers(-9, 9, (1, 16), dtype=np.int32) for _ in range(2))
    result = client.infer("add", [tensor("a", a), tensor("b", b)], request_id="the 7th")
    np.testing.assert_array_equal(result.as_numpy("sum"), a + b)
    np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
    response = result.get_response()
    assert (response.model_name, response.model_version, response.id) == ("add", "1", "the 7th")
    assert not any(output.HasField("contents") for output in response.outputs)


def test_chosen_outputs_in_their_order(client: triton.InferenceServerClient) -> None:
    a = np.ones((1, 16), np.int32)
    outputs = [triton.InferRequestedOutput(name) for name in ("difference", "sum")]
    inputs = [tensor("b", a), tensor("a", 3 * a)]  # inputs in any order too
    result = client.infer("add", inputs, outputs=outputs)
    assert [output.name for output in result.get_response().outputs] == ["difference", "sum"]
    np.testing.assert_array_equal(result.as_numpy("difference"), 2 * a)
    one = client.infer("add", inputs, outputs=outputs[:1])
    assert one.as_numpy("sum") is None


@pytest.mark.parametrize(
    ("model", "array"),
    [
        ("fp16", RNG.standard_normal(4).astype(np.float16)),
        ("bool", np.array([True, False, True, True])),
        ("int64", np.array([-(2**63), 2**63 - 1, 0, 1])),
        ("uint8", np.array([0, 255, 7, 1], np.uint8)),
    ],
)
def test_datatypes(client: triton.InferenceServerClient, model: str, array: Any) -> None:
    result = client.infer(model, [tensor("x", array)])
    np.testing.assert_array_equal(result.as_numpy("y"), array)


def test_bf16(client: triton.InferenceServerClient) -> None:
    array = np.array([1.5, -2.25, 3.14159, 0], ml_dtypes.bfloat16)
    result = client.infer("bf16", [tensor("x", array, "BF16")])
    got = np.asarray(result.as_numpy("y")).astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(got, array)


def test_strings(client: triton.InferenceServerClient) -> None:
    array = np.array([b"", "grüße".encode(), b"\0", b"x" * 70000], np.object_)
    result = client.infer("strings", [tensor("x", array)])
    assert list(result.as_numpy("y")) == list(array)


def test_any_byte_but_zero_is_true(daemon: Daemon) -> None:
    request = service_pb2.ModelInferRequest(model_name="bool", raw_input_contents=[b"\0\1\2\xff"])
    request.inputs.add(name="x", datatype="BOOL", shape=[4])
    with grpc.insecure_channel(daemon.address) as channel:
        response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert response.raw_output_contents[0] == b"\0\1\1\1"


def test_typed_contents_are_answered_raw(daemon: Daemon) -> None:
    request = service_pb2.ModelInferRequest(model_name="add")
    for name in "ab":
        entry = request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        entry.contents.int_contents.extend(range(16))
    with grpc.insecure_channel(daemon.address) as channel:
        response = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert len(response.raw_output_contents) == 2
    total = np.frombuffer(response.raw_output_contents[0], np.int32)
    np.testing.assert_array_equal(total, 2 * np.arange(16))


def test_typed_strings_and_empty_tensors(daemon: Daemon) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        request = service_pb2.ModelInferRequest(model_name="strings")
        entry = request.inputs.add(name="x", datatype="BYTES", shape=[4])
        entry.contents.bytes_contents.extend([b"a", b"", b"bc", b"d"])
        response = stub.ModelInfer(request)
        assert response.raw_output_contents[0] == (b"\1\0\0\0a\0\0\0\0\2\0\0\0bc\1\0\0\0d")
        empty = service_pb2.ModelInferRequest(model_name="any_shape", raw_input_contents=[b""])
        empty.inputs.add(name="x", datatype="FP32", shape=[0, 3])
        response = stub.ModelInfer(empty)
        assert list(response.outputs[0].shape) == [0, 3]
        assert list(response.raw_output_contents) == [b""]


def test_classification(client: triton.InferenceServerClient) -> None:
    x = RNG.standard_normal((2, 8)).astype(np.float32)
    asked = [triton.InferRequestedOutput("y", class_count=2)]
    result = client.infer("batched", [tensor("x", x)], outputs=asked)
    classes = result.as_numpy("y")
    assert classes.shape == (2, 2)
    for row, answer in zip(classes, mlp_answer(x), strict=True):
        for text, index in zip(row, np.argsort(-answer)[:2], strict=True):
            value, position, *label = text.decode().split(":")
            assert int(position) == index
            assert float(value) == pytest.approx(answer[index], abs=1e-4)
            assert label == ([["zero"], ["one"], ["two"]][index] if index < 3 else [])
    flat = client.infer("mlp", [tensor("x", x)], outputs=asked).as_numpy("y")
    assert flat.shape == (2,)


def test_compression(client: triton.InferenceServerClient) -> None:
    x = np.zeros((300, 8), np.float32)
    for algorithm in ("gzip", "deflate"):
        result = client.infer("mlp", [tensor("x", x)], compression_algorithm=algorithm)
        np.testing.assert_array_equal(result.as_numpy("y"), x)


def test_new_shapes_are_compiled_once_they_come(client: triton.InferenceServerClient) -> None:
    for batch in (1, 3, 7, 1):
        x = RNG.standard_normal((batch, 8)).astype(np.float32)
        got = client.infer("mlp", [tensor("x", x)]).as_numpy("y")
        np.testing.assert_allclose(got, mlp_answer(x), rtol=1e-4, atol=1e-5)


def test_async_infer(client: triton.InferenceServerClient) -> None:
    answers: dict[int, Any] = {}
    done = threading.Event()

    def keep(index: int, result: Any, error: Any) -> None:
        answers[index] = error or result.as_numpy("y")
        if len(answers) == 20:
            done.set()

    inputs = [RNG.standard_normal((1, 16)).astype(np.float32) for _ in range(20)]
    for i, x in enumerate(inputs):
        client.async_infer(
            "identity", [tensor("x", x)], lambda result, error, i=i: keep(i, result, error)
        )
    assert done.wait(30)
    for i, x in enumerate(inputs):
        np.testing.assert_array_equal(answers[i], x)


def test_a_cancelled_call_is_noticed(client: triton.InferenceServerClient, daemon: Daemon) -> None:
    # Inputs of their own, so that none is answered by another's job, and enough of them to keep
    # the last one waiting.
    inputs = [np.full(networks.SLOW_SHAPE, i, np.float32) for i in range(24)]
    outcome: list[Any] = []
    before = _failures(client)

    def keep(result: Any, error: Any) -> None:
        outcome.append(error if result is None else None)

    calls = [client.async_infer("slow", [tensor("t0", x)], keep) for x in inputs]
    wait_for(
        lambda: daemon.metric("coexec_requests_in_flight") + len(outcome) >= len(calls),
        "the requests to arrive",
    )
    calls[-1].cancel()
    wait_for(lambda: any(error is not None for error in outcome), "the cancelled call's end")
    cancelled = next(error for error in outcome if error is not None)
    assert "CANCELLED" in str(cancelled.status())
    wait_for(lambda: len(outcome) == len(calls), "the others", 120)
    assert sum(error is not None for error in outcome) == 1
    wait_for(lambda: _failures(client) == before + 1, "the daemon to count it")
    wait_for(lambda: daemon.metric("coexec_requests_in_flight") == 0, "the engine to drop it")


def _failures(client: triton.InferenceServerClient) -> int:
    statistics = client.get_inference_statistics("slow").model_stats[0]
    return int(statistics.inference_stats.fail.count)


def test_timeouts(client: triton.InferenceServerClient) -> None:
    slow = [tensor("t0", np.ones(networks.SLOW_SHAPE, np.float32))]
    # By the client's own clock, or refused by the daemon before that.
    with pytest.raises(InferenceServerException, match=r"Deadline Exceeded|DEADLINE_EXCEEDED"):
        client.infer("slow", slow, client_timeout=0.002)
    with pytest.raises(InferenceServerException) as caught:
        client.infer("slow", slow, timeout=1)
    assert caught.value.status() in (
        "StatusCode.DEADLINE_EXCEEDED",
        "StatusCode.RESOURCE_EXHAUSTED",
        "StatusCode.UNAVAILABLE",
    )
    client.infer("slow", slow, timeout=2**63 - 1)  # later than any clock counts
    answered = client.infer("slow", slow, timeout=60_000_000, client_timeout=60)
    assert answered.as_numpy("t40") is not None


def test_priorities_are_taken(client: triton.InferenceServerClient) -> None:
    x = np.ones((1, 16), np.float32)
    for priority in (0, 1, 2**32 - 1):
        client.infer("identity", [tensor("x", x)], priority=priority)
    client.infer("identity", [tensor("x", x)], parameters={"mine": "yes", "more": 1})


def test_versions(client: triton.InferenceServerClient) -> None:
    one, two = (np.ones((n, 8), np.float32) for n in (1, 2))
    assert client.infer("versions", [tensor("x", one)], model_version="1").as_numpy("y") is not None
    newest = client.infer("versions", [tensor("x", two)])
    assert newest.get_response().model_version == "2"
    with pytest.raises(InferenceServerException, match="version 3 is not found"):
        client.infer("versions", [tensor("x", one)], model_version="3")
