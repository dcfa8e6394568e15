"""Calls as messages."""

from collections.abc import Mapping, MutableMapping

from coexec.protos import coexec_pb2, inference_pb2

from .arguments import UINT64_MAX, file_contents, json_config, seconds, text
from .calls import MESSAGE_ONLY, Call, Layout, Target
from .codec import datatype_of, encode, encode_into
from .errors import ArgumentError
from .regions import Region

_UINT32_MAX = 2**32 - 1
_MESSAGE_BYTES_MAX = 2**31 - 1  # the protocol's bound
_Request = inference_pb2.ModelInferRequest
_Output = inference_pb2.ModelInferRequest.InferRequestedOutputTensor


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
    """Raises ArgumentError for more than a message carries."""
    slots = layout.inputs if region is not None else {}
    size = sum(array.nbytes for name, array in call.inputs.items() if name not in slots)
    if size > _MESSAGE_BYTES_MAX:
        raise ArgumentError(
            f"inputs take {size} bytes; a message carries {_MESSAGE_BYTES_MAX} at most: send fewer "
            "rows at a time"
        )
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


def load_request(
    name: str, config: str | None, files: Mapping[str, bytes] | None
) -> inference_pb2.RepositoryModelLoadRequest:
    """The message that loads `name`, from `files` where given.

    Raises ArgumentError for what cannot be sent.
    """
    request = inference_pb2.RepositoryModelLoadRequest(model_name=text("name", name))
    given, config = file_contents(files), json_config(config)
    if given and config is None:
        config = "{}"  # the protocol takes files only with a configuration
    if config is not None:
        request.parameters["config"].string_param = config
    for path, content in given.items():
        request.parameters[f"file:{path}"].bytes_param = content
    return request


def register_request(region: Region) -> inference_pb2.SystemSharedMemoryRegisterRequest:
    """The message that tells the daemon of `region`."""
    return inference_pb2.SystemSharedMemoryRegisterRequest(
        name=region.name, key=region.key, byte_size=region.byte_size
    )


def watch_request(period_s: float) -> coexec_pb2.WatchStatisticsRequest:
    """The message that asks for statistics every `period_s` seconds."""
    period_ms = round(seconds("period_s", period_s) * 1000)
    return coexec_pb2.WatchStatisticsRequest(period_ms=min(max(1, period_ms), _UINT32_MAX))


def timeline_request(window_s: float) -> coexec_pb2.TimelineRequest:
    """The message that asks for the last `window_s` seconds; 0: all that is kept."""
    window_us = round(seconds("window_s", window_s) * 1e6)
    return coexec_pb2.TimelineRequest(window_us=min(window_us, UINT64_MAX))
