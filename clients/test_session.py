"""The steps of a call, taken by hand."""

from typing import Any

import numpy as np
import pytest

from coexec.clients.calls import Options
from coexec.clients.errors import (
    CancelledCallError,
    CoexecError,
    DeadlineError,
    InvalidInputError,
    OverloadedError,
    PermissionDeniedError,
    UnavailableError,
)
from coexec.clients.model import Result
from coexec.clients.session import Session, Stream
from coexec.clients.steps import Rpc, Steps
from coexec.protos import coexec_pb2, inference_pb2

_X = {"x": np.zeros(1 << 16, np.float32)}


def _metadata() -> inference_pb2.ModelMetadataResponse:
    response = inference_pb2.ModelMetadataResponse(name="m")
    response.inputs.add(name="x", datatype="FP32", shape=[1 << 16])
    response.outputs.add(name="y", datatype="FP32", shape=[1])
    return response


def _until_infer(steps: Steps[Any]) -> Rpc:
    """Answers what is asked before the inference itself."""
    rpc = next(steps)
    while rpc.method != "ModelInfer":
        rpc = steps.send(_metadata() if rpc.method == "ModelMetadata" else None)
    return rpc


def _region(rpc: Rpc) -> str:
    assert isinstance(rpc.request, inference_pb2.ModelInferRequest)
    return rpc.request.inputs[0].parameters["shared_memory_region"].string_param


@pytest.mark.parametrize(
    ("error", "again"), [(OverloadedError("full"), True), (DeadlineError("late"), False)]
)
def test_a_region_is_used_again_when_the_daemon_is_done_with_it(
    error: Exception, again: bool
) -> None:
    session = Session("unix:/nowhere", shared_memory=True)
    steps = session.infer("m", "", _X, Options())
    first = _region(_until_infer(steps))
    with pytest.raises(type(error)):
        steps.throw(error)
    second = _region(_until_infer(session.infer("m", "", _X, Options())))
    assert (first == second) is again
    session.pool.close()


def test_a_call_that_is_left_gives_its_region_up() -> None:
    session = Session("unix:/nowhere", shared_memory=True)
    steps = session.infer("m", "", _X, Options())
    first = _region(_until_infer(steps))
    steps.close()
    assert session.pool.take_dropped() == [first]


def test_a_daemon_that_grants_no_region_is_not_asked_again() -> None:
    session = Session("unix:/nowhere", shared_memory=True)
    steps = session.infer("m", "", _X, Options())
    assert next(steps).method == "ModelMetadata"
    assert steps.send(_metadata()).method == "SystemSharedMemoryRegister"
    rpc = steps.throw(PermissionDeniedError("no"))
    assert (rpc.method, _region(rpc)) == ("ModelInfer", "")
    assert next(session.infer("m", "", _X, Options())).method == "ModelInfer"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidInputError("no model of the call has an input 'x'"), "expected 1 inputs"),
        (UnavailableError("no daemon answers"), "no daemon answers"),
    ],
)
def test_a_second_try_takes_no_answer_away(error: CoexecError, told: str) -> None:
    """Of two models one has no such input, so that a call to it alone is wrong altogether."""
    session = Session("unix:/nowhere", shared_memory=True)
    steps = session.infer_many(["good", "other"], _X, Options())
    rpc = next(steps)
    while rpc.method != "InferMany":
        metadata = _metadata()
        metadata.outputs[0].shape[:] = [1 << 16]
        rpc = steps.send(metadata if rpc.method == "ModelMetadata" else None)
    first = coexec_pb2.InferManyResponse()
    first.results.add().response.model_name = "good"
    first.results.add(code=3, message="expected 1 inputs but got 0")
    second = steps.send(first).request
    assert isinstance(second, coexec_pb2.InferManyRequest)
    assert [model.name for model in second.models] == ["other"]
    with pytest.raises(StopIteration) as end:
        steps.throw(error)
    results = end.value.value
    assert isinstance(results["good"], Result)
    assert told in str(results["other"])
    session.pool.close()


def test_a_stream_left_while_a_request_is_made_keeps_no_region() -> None:
    session = Session("unix:/nowhere", shared_memory=True)
    stream = Stream(session, "m", "", Options())
    steps = stream.request(_X)
    assert next(steps).method == "ModelMetadata"
    register = steps.send(_metadata()).request
    assert isinstance(register, inference_pb2.SystemSharedMemoryRegisterRequest)
    stream.close()
    with pytest.raises(CancelledCallError):
        steps.send(None)
    assert session.pool.take_dropped() == [register.name]


def test_a_stream_takes_new_regions_when_the_daemon_has_lost_them() -> None:
    session = Session("unix:/nowhere", shared_memory=True)
    stream = Stream(session, "m", "", Options())

    def sent() -> Steps[None]:
        yield Rpc("ModelInfer", (yield from stream.request(_X)))

    names = []
    for _ in range(2):
        names.append(_region(_until_infer(sent())))
        response = inference_pb2.ModelStreamInferResponse(
            error_message=f"Unable to find shared memory region: '{names[-1]}'"
        )
        assert isinstance(stream.answer(response), CoexecError)
    assert names[0] != names[1]
    session.pool.close()
