"""Inference calls as messages: what both clients share, and what needs no connection."""

import math
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from coexec.protos import coexec_pb2, inference_pb2

from .codec import Array, datatype_of, decode, encode, encode_into, item_bytes
from .errors import (
    ArgumentError,
    CoexecError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    ServerError,
    error_for,
)
from .regions import Region

Transport = Literal["message", "shared_memory"]
ParameterValue = bool | int | str | float
_Request = inference_pb2.ModelInferRequest
_Output = inference_pb2.ModelInferRequest.InferRequestedOutputTensor

SHARED_BYTES_MIN = 1 << 16  # larger tensors go through shared memory
_ALIGNMENT = 64


class Result(Mapping[str, Array]):
    """A model's answer: output name to array.

    transport says which way tensors went: "shared_memory" where at least one did.
    """

    def __init__(
        self,
        response: inference_pb2.ModelInferResponse,
        outputs: dict[str, Array],
        transport: Transport,
    ) -> None:
        self._outputs = outputs
        self.model = response.model_name
        self.version = response.model_version
        self.id = response.id
        self.transport = transport
        self.parameters = {name: _plain(value) for name, value in response.parameters.items()}

    def __getitem__(self, name: str) -> Array:
        try:
            return self._outputs[name]
        except KeyError:
            known = ", ".join(self._outputs)
            raise KeyError(f"{self.model} has no output {name!r}; it has {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k}: {v.dtype}{list(v.shape)}" for k, v in self._outputs.items())
        return f"<Result of {self.model}/{self.version} by {self.transport}: {shapes}>"


def _plain(value: inference_pb2.InferParameter) -> ParameterValue:
    kind = value.WhichOneof("parameter_choice")
    return getattr(value, kind) if kind else ""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: its name, the protocol's datatype, its shape (-1: any)."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def byte_size(self) -> int | None:
        """Bytes it takes, or None where shape or elements are not fixed."""
        size = item_bytes(self.datatype)
        if size is None or min(self.shape, default=0) < 0:
            return None
        return size * math.prod(self.shape)


@dataclass(frozen=True)
class ModelMetadata:
    """What a model takes and gives."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    properties: dict[str, str]


@dataclass(frozen=True)
class ModelState:
    """A model of the repository. state: READY, UNAVAILABLE, LOADING, UNLOADING or UNKNOWN."""

    name: str
    version: str
    state: str
    reason: str


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


@dataclass(frozen=True)
class Target:
    """One model of a call, and which of its outputs are wanted (None: all)."""

    model: str
    version: str = ""
    outputs: tuple[str, ...] | None = None
    metadata: ModelMetadata | None = None  # known: large outputs may use shared memory

    @property
    def label(self) -> str:
        """The model's name, with the version where one was asked for."""
        return f"{self.model}/{self.version}" if self.version else self.model

    def output_sizes(self) -> dict[str, int] | None:
        """Wanted output to bytes, 0 where not fixed; None where no output is large."""
        if self.metadata is None:
            return None
        sizes = {info.name: info.byte_size or 0 for info in self.metadata.outputs}
        if self.outputs is not None:
            sizes = {name: sizes.get(name, 0) for name in self.outputs}
        return sizes if any(size > SHARED_BYTES_MIN for size in sizes.values()) else None


@dataclass(frozen=True)
class Call:
    """One call: models, the inputs they share, and how it is to be treated."""

    targets: tuple[Target, ...]
    inputs: Mapping[str, Array]
    deadline_us: int | None = None
    priority: int = 0
    request_id: str = ""


@dataclass
class Layout:
    """Where a call's large tensors lie in one region: offset and bytes."""

    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    outputs: list[dict[str, tuple[int, int]]] = field(default_factory=list)  # one per target
    byte_size: int = 0

    def _place(self, size: int) -> tuple[int, int]:
        offset = self.byte_size
        self.byte_size = (offset + size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
        return offset, size

    @classmethod
    def of(cls, call: Call) -> "Layout":
        """The layout of `call`; byte_size 0 where nothing in it is large."""
        layout = cls()
        for name, array in call.inputs.items():
            if array.nbytes > SHARED_BYTES_MIN and datatype_of(array) != "BYTES":
                layout.inputs[name] = layout._place(array.nbytes)
        for target in call.targets:
            sizes = target.output_sizes() or {}
            layout.outputs.append(
                {n: layout._place(size) for n, size in sizes.items() if size > SHARED_BYTES_MIN}
            )
        return layout


MESSAGE_ONLY = Layout()


def _point(
    parameters: MutableMapping[str, inference_pb2.InferParameter],
    region: Region,
    slot: tuple[int, int],
) -> None:
    offset, size = slot
    parameters["shared_memory_region"].string_param = region.name
    parameters["shared_memory_byte_size"].int64_param = size
    if offset:
        parameters["shared_memory_offset"].int64_param = offset


def _fill_inputs(
    request: inference_pb2.ModelInferRequest | coexec_pb2.InferManyRequest,
    call: Call,
    layout: Layout,
    region: Region | None,
) -> None:
    for name, array in call.inputs.items():
        tensor = request.inputs.add(name=name, datatype=datatype_of(array), shape=array.shape)
        slot = layout.inputs.get(name)
        if slot is None or region is None:
            request.raw_input_contents.append(encode(array))
        else:
            encode_into(array, region.view[slot[0] : slot[0] + slot[1]])
            _point(tensor.parameters, region, slot)
    if call.deadline_us is not None:
        request.parameters["timeout"].int64_param = call.deadline_us
    if call.priority:
        request.parameters["priority"].uint64_param = call.priority


def _wanted(
    target: Target, slots: Mapping[str, tuple[int, int]], region: Region | None
) -> list[_Output]:
    """The outputs to ask for: none where all go in the message."""
    if target.outputs is None and not slots:
        return []
    names = target.outputs
    if names is None:
        assert target.metadata is not None
        names = tuple(info.name for info in target.metadata.outputs)
    wanted = [_Output(name=name) for name in names]
    for output in wanted:
        if output.name in slots and region is not None:
            _point(output.parameters, region, slots[output.name])
    return wanted


def infer_request(
    call: Call, region: Region | None = None, layout: Layout = MESSAGE_ONLY
) -> _Request:
    """The message of a call to one model; large inputs are copied into `region`."""
    (target,) = call.targets
    request = _Request(model_name=target.model, model_version=target.version, id=call.request_id)
    _fill_inputs(request, call, layout, region)
    slots = layout.outputs[0] if layout.outputs else {}
    request.outputs.extend(_wanted(target, slots, region))
    return request


def infer_many_request(
    call: Call, region: Region | None = None, layout: Layout = MESSAGE_ONLY
) -> coexec_pb2.InferManyRequest:
    """The message of a call to several models; large inputs are copied into `region`."""
    request = coexec_pb2.InferManyRequest(id=call.request_id)
    _fill_inputs(request, call, layout, region)
    for i, target in enumerate(call.targets):
        slots = layout.outputs[i] if layout.outputs else {}
        outputs = _wanted(target, slots, region)
        request.models.add(name=target.model, version=target.version, outputs=outputs)
    return request


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
) -> dict[str, Result | CoexecError]:
    """Model to its answer or to why there is none, in the order of the call.

    Raises CoexecError where shared memory failed one of them, so that all can be sent again.
    """
    if len(response.results) != len(call.targets):
        raise ServerError(f"{len(call.targets)} models called, {len(response.results)} answered")
    results: dict[str, Result | CoexecError] = {}
    for i, (target, part) in enumerate(zip(call.targets, response.results, strict=True)):
        if not part.code:
            results[target.label] = result_from(part.response, region, layout, i)
            continue
        error = error_for(part.code, part.message, call.request_id)
        if region is not None and is_region_failure(error):
            raise error
        results[target.label] = error
    return results


def named_inputs(
    inputs: Mapping[str, Array] | Array, metadata: ModelMetadata | None
) -> dict[str, Array]:
    """Inputs by name. A bare array is the input of a model that has only one.

    Raises ArgumentError where the model has several, and for what is no array.
    """
    if isinstance(inputs, Mapping):
        return {name: _array(name, array) for name, array in inputs.items()}
    assert metadata is not None
    if len(metadata.inputs) != 1:
        names = ", ".join(info.name for info in metadata.inputs)
        raise ArgumentError(f"{metadata.name} takes {names}: give a mapping of names to arrays")
    return {metadata.inputs[0].name: _array(metadata.inputs[0].name, inputs)}


def _array(name: str, given: object) -> Array:
    """Raises ArgumentError for what is no array that can be sent."""
    if not isinstance(name, str):
        raise ArgumentError(f"inputs has the key {name!r}; its keys must be the inputs' names")
    if given is None:
        raise ArgumentError(f"input '{name}' is None; give an array")
    try:
        array = np.asarray(given)
        datatype_of(array)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"input '{name}': {error}") from None
    if array.dtype.kind == "O" and not all(isinstance(i, str | bytes) for i in array.ravel()):
        raise ArgumentError(f"input '{name}' is an array of objects; only bytes and str can be")
    return array


def is_region_failure(error: CoexecError) -> bool:
    """Whether the call failed over shared memory, so that a message may do better.

    InvalidInputError counts: what was known of the model's outputs may be out of date.
    """
    return isinstance(error, InvalidInputError) or "shared memory" in error.details.lower()


_FINISHED = (InvalidInputError, NotFoundError, OverloadedError)


def is_finished(error: BaseException) -> bool:
    """Whether the daemon is done with a failed call's region: it answered, and at once."""
    return isinstance(error, _FINISHED)
