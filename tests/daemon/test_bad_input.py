"""Every wrong request gets its status and a text that helps, and the daemon goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from .conftest import Daemon

Request = pb.ModelInferRequest
FP32_16 = bytes(64)


@pytest.fixture
def stub(daemon: Daemon) -> Iterator[Any]:
    with grpc.insecure_channel(daemon.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        yield stub
        stub.ModelInfer(make())  # the daemon goes on


def make(
    model: str = "identity",
    name: str = "x",
    datatype: str = "FP32",
    shape: tuple[int, ...] = (1, 16),
    raw: tuple[bytes, ...] = (FP32_16,),
    **more: Any,
) -> Request:
    request = Request(model_name=model, raw_input_contents=raw, **more)
    if name:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
    return request


def with_input(**more: Any) -> Request:
    request = make(raw=())
    entry = request.inputs[0]
    for key, value in more.items():
        getattr(entry, key).MergeFrom(value)
    return request


def parameter(request: Request, key: str, **value: Any) -> Request:
    request.parameters[key].CopyFrom(pb.InferParameter(**value))
    return request


def twice() -> Request:
    request = make(raw=(FP32_16, FP32_16))
    request.inputs.add().CopyFrom(request.inputs[0])
    return request


def contents(**fields: Any) -> Request:
    return with_input(contents=pb.InferTensorContents(**fields))


def both() -> Request:
    request = contents(fp32_contents=[0] * 16)
    request.raw_input_contents.append(FP32_16)
    return request


def output(*names: str, **parameters: Any) -> Request:
    request = make()
    for name in names:
        entry = request.outputs.add(name=name)
        for key, value in parameters.items():
            entry.parameters[key].CopyFrom(value)
    return request


P = pb.InferParameter
CASES: dict[str, tuple[Callable[[], Request], str, str]] = {
    "unknown model": (
        lambda: make(model="nobody"), "NOT_FOUND", "unknown model: 'nobody' is not found",
    ),
    "misspelt model": (
        lambda: make(model="idendity"), "NOT_FOUND", "is not found; did you mean 'identity'?",
    ),
    "unknown version": (
        lambda: make(model_version="9"), "NOT_FOUND", "version 9 is not found",
    ),
    "no version": (
        lambda: make(model_version="new"), "INVALID_ARGUMENT", "versions are whole numbers",
    ),
    "wrong dtype": (
        lambda: make(datatype="INT32"), "INVALID_ARGUMENT",
        "data-type is 'INT32', but model 'identity' expects 'FP32'",
    ),
    "unknown dtype": (
        lambda: make(datatype="FP8"), "INVALID_ARGUMENT", "unknown datatype 'FP8'",
    ),
    "wrong shape": (
        lambda: make(shape=(1, 17), raw=(bytes(68),)), "INVALID_ARGUMENT",
        r"unexpected shape for input 'x' for model 'identity'. Expected \[1, 16\], got \[1, 17\]",
    ),
    "wrong rank": (lambda: make(shape=(16,)), "INVALID_ARGUMENT", r"got \[16\]"),
    "negative dim": (lambda: make(shape=(-1, 16)), "INVALID_ARGUMENT", "must be 0 or more"),
    "wrong size": (
        lambda: make(raw=(bytes(63),)), "INVALID_ARGUMENT",
        "unexpected total byte size 63 for input 'x', expecting 64",
    ),
    "huge shape": (
        lambda: make(shape=(2**40, 2**40)), "INVALID_ARGUMENT", "unexpected total byte size 64",
    ),
    "wrong name": (
        lambda: make(name="z"), "INVALID_ARGUMENT", "unexpected inference input 'z'.* takes x",
    ),
    "no input": (
        lambda: make(name="", raw=()), "INVALID_ARGUMENT",
        "expected 1 inputs but got 0 inputs for model 'identity': 'x' is missing",
    ),
    "input twice": (twice, "INVALID_ARGUMENT", "'x' is given twice"),
    "no data": (
        lambda: make(raw=()), "INVALID_ARGUMENT", "unable to find data for input tensor 'x'",
    ),
    "too much data": (
        lambda: make(raw=(FP32_16, b"")), "INVALID_ARGUMENT", "2 raw_input_contents are given",
    ),
    "both contents": (
        both, "INVALID_ARGUMENT",
        "contents field must not be specified when using raw_input_contents",
    ),
    "contents of another kind": (
        lambda: contents(int_contents=[1] * 16), "INVALID_ARGUMENT",
        "data in int_contents; FP32 takes 'fp32_contents'",
    ),
    "contents too short": (
        lambda: contents(fp32_contents=[1]), "INVALID_ARGUMENT", "1 elements are given",
    ),
    "strings cut off": (
        lambda: make("strings", datatype="BYTES", shape=(4,), raw=(b"\4\0\0\0ab",)),
        "INVALID_ARGUMENT", "incomplete string data for input 'x'",
    ),
    "unknown output": (
        lambda: output("z"), "INVALID_ARGUMENT", "unexpected inference output 'z'.* it has y",
    ),
    "output twice": (lambda: output("y", "y"), "INVALID_ARGUMENT", "requested twice"),
    "no classes": (
        lambda: output("y", classification=P(int64_param=0)), "INVALID_ARGUMENT", "above 0",
    ),
    "classes in memory": (
        lambda: output(
            "y",
            classification=P(int64_param=1),
            shared_memory_region=P(string_param="r"),
            shared_memory_byte_size=P(int64_param=4),
        ),
        "INVALID_ARGUMENT", "can't be set on classification output",
    ),
    "unknown region": (
        lambda: output(
            "y",
            shared_memory_region=P(string_param="none"),
            shared_memory_byte_size=P(int64_param=4),
        ),
        "NOT_FOUND", "Unable to find shared memory region: 'none'",
    ),
    "half a placement": (
        lambda: output("y", shared_memory_region=P(string_param="none")),
        "INVALID_ARGUMENT", "needs 'shared_memory_byte_size'",
    ),
    "sequence": (
        lambda: parameter(make(), "sequence_id", int64_param=3), "UNIMPLEMENTED",
        "sequences are not served",
    ),
    "timeout of another type": (
        lambda: parameter(make(), "timeout", string_param="3"), "INVALID_ARGUMENT", "int64_param",
    ),
    "reserved parameter": (
        lambda: parameter(make(), "triton_x", bool_param=True), "INVALID_ARGUMENT", "reserved",
    ),
    "too large a batch": (
        lambda: make("batched", shape=(5, 8), raw=(bytes(160),)), "INVALID_ARGUMENT",
        "batch-size must be <= 4",
    ),
    "dims that disagree": (
        lambda: _disagreeing(), "INVALID_ARGUMENT", "its dim 'n' is 2 in another input",
    ),
}  # fmt: skip


def _disagreeing() -> Request:
    request = make("two_inputs", "a", shape=(2,), raw=(bytes(8), bytes(12)))
    request.inputs.add(name="b", datatype="FP32", shape=[3])
    return request


@pytest.mark.parametrize("case", CASES)
def test_bad_requests(stub: Any, case: str) -> None:
    request, code, text = CASES[case]
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request())
    assert caught.value.code().name == code, caught.value.details()
    assert re.search(text, caught.value.details()), caught.value.details()


@pytest.mark.usefixtures("stub")
def test_what_is_no_message(daemon: Daemon) -> None:
    with grpc.insecure_channel(daemon.address) as channel:
        for method in ("ModelInfer", "ModelMetadata", "RepositoryModelLoad"):
            call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"\xff\xff\xff")
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "is not a inference." in caught.value.details()
        unknown = channel.unary_unary("/inference.GRPCInferenceService/ModelDream")
        with pytest.raises(grpc.RpcError) as caught:
            unknown(b"")
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.usefixtures("stub")
def test_random_bytes_never_hurt(daemon: Daemon) -> None:
    rng = np.random.default_rng(11)
    whole = make().SerializeToString()
    with grpc.insecure_channel(daemon.address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for _ in range(200):
            mutated = bytearray(whole)
            for place in rng.integers(0, len(mutated), 3):
                mutated[place] = rng.integers(0, 256)
            future = call.future(bytes(mutated))
            assert future.code() != grpc.StatusCode.INTERNAL, future.details()
