"""A client's inference and shared memory, as steps (steps.py)."""

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

from coexec.protos import inference_pb2

from . import control
from .addresses import chosen_address, is_same_machine
from .answers import may_do_better, names_region, result_from, results_from, stream_status
from .arguments import seconds, text
from .calls import (
    MESSAGE_ONLY,
    Call,
    Inputs,
    Layout,
    Model,
    Options,
    Target,
    Version,
    make_call,
    pairs,
)
from .errors import (
    CancelledCallError,
    CoexecError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    error_for,
)
from .model import ModelMetadata, Result
from .regions import Region, RegionPool
from .requests import (
    infer_many_request,
    infer_request,
    load_request,
    register_request,
)
from .steps import Rpc, Steps

CHANNEL_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # gRPC's own are 1 s to 2 min: a client would find a daemon that is back only so much later.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_CLOSE_TIMEOUT_S = 1.0
# After these the daemon is done with a failed call's region: it answered, and at once.
_FINISHED = (InvalidInputError, NotFoundError, OverloadedError)


class Session:
    """Address, regions and known models of one client, and the steps of its methods."""

    def __init__(self, address: str | None, shared_memory: bool) -> None:
        self.address = chosen_address(address)
        self.pool = RegionPool()
        self._shares = shared_memory and is_same_machine(self.address)
        self._known: dict[tuple[str, str], ModelMetadata] = {}

    # Inference

    def infer(
        self, model: str, version: Version, inputs: Inputs, options: Options
    ) -> Steps[Result]:
        call = yield from self.call(pairs([(model, version)]), inputs, options)
        region, layout = yield from self.lease(call)
        try:
            request = infer_request(call, region, layout)
            response = yield Rpc("ModelInfer", request, options.timeout_s)
            result = result_from(response, region, layout)
        except BaseException as error:
            self._take_back(region, error)
            if region is None or not _by_message(error, layout):
                raise
            self.forget(call.targets, error)
        else:
            self._take_back(region)
            return result
        response = yield Rpc("ModelInfer", infer_request(call), options.timeout_s)
        return result_from(response)

    def infer_many(
        self, models: Sequence[Model], inputs: Inputs, options: Options
    ) -> Steps[dict[str, Result | CoexecError]]:
        call = yield from self.call(pairs(models), inputs, options)
        region, layout = yield from self.lease(call)
        try:
            request = infer_many_request(call, region, layout)
            response = yield Rpc("InferMany", request, options.timeout_s)
            answers = results_from(call, response, region, layout)
        except BaseException as error:
            self._take_back(region, error)
            # An input whose region the daemon does not have fails the call of all.
            if region is None or not (isinstance(error, CoexecError) and names_region(error)):
                raise
            self.forget(call.targets, error)
            results, again = {}, list(call.targets)
        else:
            self._take_back(region)
            results = {t.label: answer for t, answer in zip(call.targets, answers, strict=True)}
            again = []
            for i, (target, answer) in enumerate(zip(call.targets, answers, strict=True)):
                if region is not None and _by_message(answer, layout, i):
                    self.forget([target], answer)
                    again.append(target)
        if again:
            call = replace(call, targets=tuple(again))
            try:
                response = yield Rpc("InferMany", infer_many_request(call), options.timeout_s)
                answers = results_from(call, response)
            except CoexecError as error:
                if not results:
                    raise
                # The second try takes no answer of the first away. That a call of these models
                # alone is wrong altogether says less than what each was told in the first.
                if not isinstance(error, InvalidInputError):
                    results.update((target.label, error) for target in again)
                return results
            for target, answer in zip(again, answers, strict=True):
                results[target.label] = answer
        return results

    def call(
        self, models: Sequence[tuple[str, str]], inputs: Inputs, options: Options
    ) -> Steps[Call]:
        """The call, with the models' metadata where they matter. Raises ArgumentError."""
        known: list[ModelMetadata | None] = [None] * len(models)
        if self._shares or not isinstance(inputs, Mapping):
            for i, model in enumerate(models):
                with contextlib.suppress(CoexecError):  # the call itself will say what is wrong
                    metadata = self._known.get(model)  # another thread may forget it
                    if metadata is None:
                        metadata = self._known[model] = yield from control.metadata(*model)
                    known[i] = metadata
        if not isinstance(inputs, Mapping) and not any(known):
            known[0] = yield from control.metadata(*models[0])
        return make_call(models, known, inputs, options)

    # Shared memory

    def lease(self, call: Call) -> Steps[tuple[Region | None, Layout]]:
        """A registered region for the call's large tensors, where one can be had."""
        layout = Layout.of(call) if self._shares else MESSAGE_ONLY
        region = self.pool.take(layout.byte_size) if layout.byte_size else None
        yield from self.unregister_dropped()
        if region is None:
            return None, MESSAGE_ONLY
        if region.registered:
            return region, layout
        try:
            yield Rpc("SystemSharedMemoryRegister", register_request(region))
        except BaseException as error:
            self.pool.retire(region)
            if not isinstance(error, CoexecError) or isinstance(error, UnavailableError):
                raise
            self._shares = False  # the daemon said no: ask no more
            return None, MESSAGE_ONLY
        region.was_registered()
        return region, layout

    def unregister_dropped(self) -> Steps[None]:
        """Tell the daemon which regions are gone."""
        for name in self.pool.take_dropped():
            request = inference_pb2.SystemSharedMemoryUnregisterRequest(name=name)
            with contextlib.suppress(CoexecError):
                yield Rpc("SystemSharedMemoryUnregister", request, _CLOSE_TIMEOUT_S)

    def _take_back(self, region: Region | None, error: BaseException | None = None) -> None:
        """A region from a call that is answered, or failed with `error`."""
        if region is None:
            return
        if error is None or isinstance(error, _FINISHED):
            self.pool.give(region)
        else:
            self.pool.retire(region)

    def forget(self, targets: Sequence[Target], error: BaseException | Result) -> None:
        """What may be out of date after these failed over shared memory with `error`."""
        for target in targets:
            self._known.pop((target.model, target.version), None)
        if isinstance(error, CoexecError) and names_region(error):
            self.pool.forget()

    # What is loaded

    def load(
        self,
        name: str,
        config: str | None,
        files: Mapping[str, bytes] | None,
        timeout_s: float | None,
    ) -> Steps[None]:
        request = load_request(name, config, files)
        if timeout_s is not None:
            timeout_s = seconds("timeout_s", timeout_s)
        self._known.clear()
        yield Rpc("RepositoryModelLoad", request, timeout_s)

    def unload(self, name: str) -> Steps[None]:
        request = inference_pb2.RepositoryModelUnloadRequest(model_name=text("name", name))
        self._known.clear()
        yield Rpc("RepositoryModelUnload", request)


class Stream:
    """One streaming call of a session: requests with the regions lent to them. They are made in
    a thread of gRPC's, which may still be at it when the stream is closed."""

    def __init__(self, session: Session, model: str, version: Version, options: Options) -> None:
        self._session = session
        self._models = pairs([(model, version)])
        self._options = options
        self._count = 0
        self._lock = threading.Lock()  # over the two below
        self._lent: dict[str, tuple[Region | None, Layout]] = {}
        self._closed = False

    def request(self, inputs: Inputs) -> Steps[inference_pb2.ModelInferRequest]:
        """The next request. Raises CancelledCallError when the stream was closed meanwhile."""
        options = replace(self._options, request_id=str(self._count))
        self._count += 1
        call = yield from self._session.call(self._models, inputs, options)
        region, layout = yield from self._session.lease(call)
        with self._lock:
            closed = self._closed
            if not closed:
                self._lent[call.request_id] = region, layout
        if closed:
            if region is not None:
                self._session.pool.retire(region)
            raise CancelledCallError("the stream was closed")
        return infer_request(call, region, layout)

    def answer(self, response: inference_pb2.ModelStreamInferResponse) -> Result | CoexecError:
        answer = response.infer_response
        # Answers come in the order of the requests, and an error may come without its id.
        with self._lock:
            request_id = answer.id or next(iter(self._lent), "")
            region, layout = self._lent.pop(request_id, (None, MESSAGE_ONLY))
        try:
            if not response.error_message:
                return result_from(answer, region, layout)
        finally:
            if region is not None:
                self._session.pool.give(region)
        error = error_for(stream_status(answer), response.error_message, request_id)
        if region is not None and _by_message(error, layout):  # the next request may do better
            self._session.forget([Target(*pair) for pair in self._models], error)
        return error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            lent, self._lent = self._lent, {}
        for region, _ in lent.values():
            if region is not None:
                self._session.pool.retire(region)


def _by_message(failure: object, layout: Layout, target: int = 0) -> bool:
    return isinstance(failure, CoexecError) and may_do_better(failure, layout, target)
