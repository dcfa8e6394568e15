"""What the synchronous and the asynchronous client have in common: state and messages."""

from collections.abc import Mapping, Sequence

import grpc

from coexec.protos import coexec_pb2, inference_pb2

from .addresses import default_address, is_same_machine
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
from .errors import CoexecError, UnavailableError, error_for
from .regions import Region, RegionPool

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)
Model = str | tuple[str, str]  # a name, or a name and a version
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

    Raises ValueError where there is none.
    """
    if not models:
        raise ValueError("name at least one model")
    return [(model, "") if isinstance(model, str) else model for model in models]


def make_call(
    models: Sequence[tuple[str, str]],
    known: Sequence[ModelMetadata | None],
    inputs: Inputs,
    outputs: Sequence[str] | None,
    deadline_us: int | None,
    priority: int,
    request_id: str,
) -> Call:
    """The call to `models`, of which the metadata are `known` or None."""
    wanted = None if outputs is None else tuple(outputs)
    targets = tuple(
        Target(name, version, wanted, metadata)
        for (name, version), metadata in zip(models, known, strict=True)
    )
    return Call(targets, named_inputs(inputs, known[0]), deadline_us, priority, request_id)


def load_request(
    name: str, config: str | None, files: Mapping[str, bytes] | None
) -> inference_pb2.RepositoryModelLoadRequest:
    """The message that loads `name`, from `files` where given."""
    request = inference_pb2.RepositoryModelLoadRequest(model_name=name)
    if files and config is None:
        config = "{}"  # the protocol takes files only with a configuration
    if config is not None:
        request.parameters["config"].string_param = config
    for path, content in (files or {}).items():
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
    return coexec_pb2.WatchStatisticsRequest(period_ms=max(1, round(period_s * 1000)))
