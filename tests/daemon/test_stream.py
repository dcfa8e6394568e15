"""ModelStreamInfer."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from coexec.daemon.services.inference import STREAM_REQUESTS_MAX

from .conftest import Daemon, tensor
from .networks import mlp_answer

RNG = np.random.default_rng(4)


@pytest.fixture
def answers(client: triton.InferenceServerClient) -> Iterator[queue.Queue[Any]]:
    """A stream is open; what comes back lands here."""
    arrived: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: arrived.put(error or result))
    yield arrived
    client.stop_stream()


def test_answers_in_the_order_of_the_requests(
    client: triton.InferenceServerClient, answers: queue.Queue[Any]
) -> None:
    inputs = [RNG.standard_normal((1 + i % 3, 8)).astype(np.float32) for i in range(100)]
    for i, x in enumerate(inputs):
        client.async_stream_infer("mlp", [tensor("x", x)], request_id=str(i))
    for i, x in enumerate(inputs):
        result = answers.get(timeout=60)
        response = result.get_response()
        assert response.id == str(i)
        assert response.parameters["triton_final_response"].bool_param
        np.testing.assert_allclose(result.as_numpy("y"), mlp_answer(x), rtol=1e-4, atol=1e-5)


def test_an_error_is_an_answer_and_the_stream_goes_on(
    client: triton.InferenceServerClient, answers: queue.Queue[Any]
) -> None:
    x = np.ones((1, 16), np.float32)
    client.async_stream_infer("identity", [tensor("x", x)])
    client.async_stream_infer("nobody", [tensor("x", x)])
    client.async_stream_infer("identity", [tensor("x", x)], enable_empty_final_response=True)
    np.testing.assert_array_equal(answers.get(timeout=30).as_numpy("y"), x)
    error = answers.get(timeout=30)
    assert isinstance(error, InferenceServerException)
    assert "unknown model: 'nobody'" in str(error)
    np.testing.assert_array_equal(answers.get(timeout=30).as_numpy("y"), x)


def _request(model: str) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model, raw_input_contents=[bytes(64)])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 16])
    return request


def test_errors_as_status_when_asked_for(daemon: Daemon) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        requests = iter([_request("identity"), _request("nobody"), _request("identity")])
        stream = stub.ModelStreamInfer(requests, metadata=[("triton_grpc_error", "true")])
        assert next(stream).infer_response.model_name == "identity"
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_client_that_leaves(daemon: Daemon, client: triton.InferenceServerClient) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stream = stub.ModelStreamInfer(_request("identity") for _ in range(1000))
        next(stream)
        stream.cancel()
    assert client.is_server_live()


def test_a_stream_ends_however_many_requests_wait(daemon: Daemon) -> None:
    count = STREAM_REQUESTS_MAX + 1
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stream = stub.ModelStreamInfer((_request("identity") for _ in range(count)), timeout=60)
        assert len(list(stream)) == count


def test_an_empty_stream(daemon: Daemon) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert list(stub.ModelStreamInfer(iter([]))) == []
