"""What the synchronous and the asynchronous client have in common: state and messages."""

from collections.abc import Mapping, Sequence

import grpc

from coexec.protos import coexec_pb2, inference_pb2

from .addresses import default_address, is_same_machine
from .arguments import (
    INT64_MAX,
    UINT64_MAX,
    file_contents,
    json_config,
    output_names,
    seconds,
    text,
    version_text,
    whole,
)
from .calls import (
    MESSAGE_ONLY,
    Call,
    Layout,
    ModelMetadata,
    ModelState,
    Result,
    Target,
    is_finished,
    named_inputs,
    result_from,
)
from .codec import Array
from .errors import ArgumentError, CoexecError, UnavailableError, error_for
from .regions import Region, RegionPool

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)
_UINT32_MAX = 2**32 - 1
Version = str | int  # "" is the newest
Model = str | tuple[str, Version]  # a name, or a name and a version
Inputs = Mapping[str, Array] | Array


class ClientBase:
    """Address, regions and known models of one client."""

    def __init__(self, address: str | None, shared_memory: bool) -> None:
        self.address = address or default_address()
        self._pool = RegionPool()
        self._shares = shared_memory and is_same_machine(self.address)
        self._known: dict[tuple[str, str], ModelMetadata] = {}

    def _layout(self, call: Call) -> Layout:
        return Layout.of(call) if self._shares else MESSAGE_ONLY

    def _forget(self) -> None:
        """Drop what may be out of date after a call failed over shared memory."""
        self._known.clear()
        self._pool.forget()

    def _retire(self, region: Region | None) -> None:
        if region is not None:
            self._pool.retire(region)

    def _after_failure(self, region: Region, error: CoexecError) -> None:
        """Take the region of a failed call back."""
        if is_finished(error):
            self._pool.give(region)
        else:
            self._pool.retire(region)

    def _after_refusal(self, region: Region, error: BaseException) -> None:
        """Registering failed. Raises `error` unless the daemon said no: then ask no more."""
        self._pool.retire(region)
        if not isinstance(error, CoexecError) or isinstance(error, UnavailableError):
            raise error
        self._shares = False

    def _stream_answer(
        self,
        response: inference_pb2.ModelStreamInferResponse,
        lent: dict[str, tuple[Region | None, Layout]],
    ) -> Result | CoexecError:
        answer = response.infer_response
        # Answers come in the order of the requests, and an error may come without its id.
        request_id = answer.id or next(iter(lent), "")
        region, layout = lent.pop(request_id, (None, MESSAGE_ONLY))
        try:
            if response.error_message:
                return error_for(grpc.StatusCode.UNKNOWN, response.error_message, request_id)
            return result_from(answer, region, layout)
        finally:
            if region is not None:
                self._pool.give(region)


def pairs(models: Sequence[Model]) -> list[tuple[str, str]]:
    """Models as pairs of name and version.

    Raises ArgumentError where there is none, or one is no such pair.
    """
    if not models:
        raise ArgumentError("models is empty; name at least one model")
    if isinstance(models, str):
        raise ArgumentError(f"models is {models!r}; it must be a list of names")
    return [_pair(model) for model in models]


def _pair(model: Model) -> tuple[str, str]:
    name, version = model if isinstance(model, tuple) and len(model) == 2 else (model, "")
    return text("model", name), version_text(version)


def make_call(
    models: Sequence[tuple[str, str]],
    known: Sequence[ModelMetadata | None],
    inputs: Inputs,
    outputs: Sequence[str] | None,
    deadline_us: int | None,
    priority: int,
    request_id: str,
) -> Call:
    """The call to `models`, of which the metadata are `known` or None.

    Raises ArgumentError for what cannot be sent.
    """
    wanted = output_names(outputs)
    if deadline_us is not None:
        deadline_us = whole("deadline_us", deadline_us, INT64_MAX)
    priority = whole("priority", priority, UINT64_MAX)
    text("request_id", request_id)
    targets = tuple(
        Target(name, version, wanted, metadata)
        for (name, version), metadata in zip(models, known, strict=True)
    )
    return Call(targets, named_inputs(inputs, known[0]), deadline_us, priority, request_id)


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


def states_from(response: inference_pb2.RepositoryIndexResponse) -> list[ModelState]:
    """The models in a repository index."""
    return [ModelState(m.name, m.version, m.state, m.reason) for m in response.models]


def register_request(region: Region) -> inference_pb2.SystemSharedMemoryRegisterRequest:
    """The message that tells the daemon of `region`."""
    return inference_pb2.SystemSharedMemoryRegisterRequest(
        name=region.name, key=region.key, byte_size=region.byte_size
    )


def unregister_requests(
    pool: RegionPool,
) -> list[inference_pb2.SystemSharedMemoryUnregisterRequest]:
    """The messages that tell the daemon which regions are gone."""
    return [
        inference_pb2.SystemSharedMemoryUnregisterRequest(name=name) for name in pool.take_dropped()
    ]


def watch_request(period_s: float) -> coexec_pb2.WatchStatisticsRequest:
    """The message that asks for statistics every `period_s` seconds."""
    period_ms = round(seconds("period_s", period_s) * 1000)
    return coexec_pb2.WatchStatisticsRequest(period_ms=min(max(1, period_ms), _UINT32_MAX))


def timeline_request(window_s: float) -> coexec_pb2.TimelineRequest:
    """The message that asks for the last `window_s` seconds; 0: all that is kept."""
    window_us = round(seconds("window_s", window_s) * 1e6)
    return coexec_pb2.TimelineRequest(window_us=min(window_us, UINT64_MAX))
