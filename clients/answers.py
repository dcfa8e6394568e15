"""What the daemon answers, read."""

import grpc

from coexec.protos import coexec_pb2, inference_pb2

from .calls import MESSAGE_ONLY, Call, Layout
from .codec import Array, decode
from .errors import CoexecError, InvalidInputError, ServerError, error_for
from .model import ModelMetadata, ModelState, Result, TensorInfo, Transport
from .regions import Region

_STATUS = "coexec_status"


def metadata_from(response: inference_pb2.ModelMetadataResponse) -> ModelMetadata:
    """The metadata in a response."""
    inputs, outputs = (
        tuple(TensorInfo(t.name, t.datatype, tuple(t.shape)) for t in tensors)
        for tensors in (response.inputs, response.outputs)
    )
    return ModelMetadata(
        response.name,
        tuple(response.versions),
        response.platform,
        inputs,
        outputs,
        dict(response.properties),
    )


def states_from(response: inference_pb2.RepositoryIndexResponse) -> list[ModelState]:
    """The models in a repository index."""
    return [ModelState(m.name, m.version, m.state, m.reason) for m in response.models]


def result_from(
    response: inference_pb2.ModelInferResponse,
    region: Region | None = None,
    layout: Layout = MESSAGE_ONLY,
    target: int = 0,
) -> Result:
    """The answer of the call's target number `target`, copied out of `region` where it lies there.

    Raises ServerError where a tensor's bytes do not fit its shape.
    """
    outputs: dict[str, Array] = {}
    transport: Transport = "shared_memory" if region and layout.inputs else "message"
    slots = layout.outputs[target] if region and layout.outputs else {}
    contents = response.raw_output_contents
    if len(contents) != len(response.outputs):
        counts = f"{len(response.outputs)} outputs but {len(contents)} contents"
        raise ServerError(f"{response.model_name}: {counts}")
    for tensor, raw in zip(response.outputs, contents, strict=True):
        info = TensorInfo(tensor.name, tensor.datatype, tuple(tensor.shape))
        data: bytes | memoryview = raw
        if not raw and info.byte_size and tensor.name in slots and region is not None:
            offset = slots[tensor.name][0]
            data = region.view[offset : offset + info.byte_size]
            transport = "shared_memory"
        try:
            outputs[tensor.name] = decode(tensor.datatype, tensor.shape, data)
        except ValueError as error:
            text = f"{response.model_name}: output {tensor.name}: {error}"
            raise ServerError(text) from error
    return Result(response, outputs, transport)


def results_from(
    call: Call,
    response: coexec_pb2.InferManyResponse,
    region: Region | None = None,
    layout: Layout = MESSAGE_ONLY,
) -> list[Result | CoexecError]:
    """Each target's answer, or why there is none, in the order of the call."""
    if len(response.results) != len(call.targets):
        raise ServerError(f"{len(call.targets)} models called, {len(response.results)} answered")
    return [
        error_for(part.code, part.message, call.request_id)
        if part.code
        else result_from(part.response, region, layout, i)
        for i, part in enumerate(response.results)
    ]


def stream_status(answer: inference_pb2.ModelInferResponse) -> grpc.StatusCode | int:
    """The status of a stream's error, where the daemon says it."""
    if _STATUS in answer.parameters:
        return answer.parameters[_STATUS].int64_param
    return grpc.StatusCode.UNKNOWN


def names_region(error: CoexecError) -> bool:
    """Whether a call failed over its shared memory."""
    return "shared memory" in error.details.lower()


def may_do_better(error: CoexecError, layout: Layout, target: int = 0) -> bool:
    """Whether the target may be answered by message after it failed over shared memory. Outputs
    that were placed there are as the model had them once; it may have been replaced since."""
    placed = bool(layout.outputs and layout.outputs[target])
    return names_region(error) or (placed and isinstance(error, InvalidInputError))
