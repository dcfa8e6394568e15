"""The way of a request through the daemon: checked, handed to the engine, answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import grpc

from coexec.daemon.answers import Wanted, answer, read_wanted
from coexec.daemon.errors import RequestError, from_number, invalid, unavailable
from coexec.daemon.flights import Flights, now_us
from coexec.daemon.parameters import RequestOptions, read_options
from coexec.daemon.regions import Regions
from coexec.daemon.repository.programs import GoneError
from coexec.daemon.repository.repository import Repository
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.sources import Allocator, Source, bind, check_known, read_sources
from coexec.daemon.statistics import RequestTimes
from coexec.daemon.wire import Buffer, parse_with_raw
from coexec.protos import coexec_pb2 as co_pb
from coexec.protos import inference_pb2 as pb
from coexec.scheduler._core import Reply

_INFER_RAW_FIELD = pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER
_MANY_RAW_FIELD = co_pb.InferManyRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER
# A later deadline is none; the engine counts in 64 bits.
_LIMIT_US_MAX = 2**60


@dataclass(slots=True)
class Call:
    """One model's part of a request. remaining_s: to the caller's own deadline; None: none."""

    version: ModelVersion
    request_id: str
    wanted: Sequence[Wanted]
    sources: Sequence[Source]
    options: RequestOptions
    remaining_s: float | None
    started_ns: int
    final: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """What the calls of one InferMany have in common."""

    request_id: str
    options: RequestOptions
    remaining_s: float | None
    started_ns: int


class Inference:
    """Serves inference requests. One event loop owns it."""

    def __init__(
        self, repository: Repository, regions: Regions, flights: Flights, allocator: Allocator
    ) -> None:
        self._repository = repository
        self._regions = regions
        self._flights = flights
        self._allocator = allocator

    async def infer(
        self, message: bytes, remaining_s: float | None, final: bool = False
    ) -> list[Buffer]:
        """A serialized ModelInferRequest to a serialized ModelInferResponse, in parts. final:
        say that the response is the request's last. Raises RequestError."""
        started_ns = time.monotonic_ns()
        request, raw = parse_with_raw(pb.ModelInferRequest, message, _INFER_RAW_FIELD)

        def call(version: ModelVersion) -> Call:
            options = read_options(request.parameters)
            sources = read_sources(request.inputs, raw, self._regions)
            check_known(version, sources)
            return Call(
                version,
                request.id,
                read_wanted(version, request.outputs, self._regions),
                bind(version, sources),
                options,
                remaining_s,
                started_ns,
                final,
            )

        return await self._serve(request.model_name, request.model_version, started_ns, call)

    async def infer_many(self, message: bytes, remaining_s: float | None) -> bytes:
        """A serialized InferManyRequest to a serialized InferManyResponse. What is wrong with
        the inputs themselves raises RequestError; what one model refuses is in its result."""
        started_ns = time.monotonic_ns()
        request, raw = parse_with_raw(co_pb.InferManyRequest, message, _MANY_RAW_FIELD)
        options = read_options(request.parameters)
        sources = read_sources(request.inputs, raw, self._regions)
        self._check_taken(request.models, sources)
        answers = asyncio.gather(
            *(
                self._one_of_many(
                    selection, sources, Common(request.id, options, remaining_s, started_ns)
                )
                for selection in request.models
            )
        )
        self._flights.hold_for_a_turn()
        results = await answers
        return co_pb.InferManyResponse(results=results).SerializeToString()

    def _check_taken(
        self, models: Iterable[co_pb.ModelSelection], sources: Mapping[str, Source]
    ) -> None:
        """Raises RequestError for an input that none of the models takes."""
        taken: set[str] = set()
        for selection in models:
            try:
                version = self._repository.find(selection.name, selection.version)
            except RequestError:
                return  # it may be that one's
            taken.update(port.name for port in version.inputs)
        for name in sources:
            if taken and name not in taken:
                raise invalid(
                    f"no model of the call has an input '{name}'; theirs are "
                    f"{', '.join(sorted(taken))}"
                )

    async def _one_of_many(
        self, selection: co_pb.ModelSelection, sources: Mapping[str, Source], common: Common
    ) -> co_pb.ModelResult:
        def call(version: ModelVersion) -> Call:
            return Call(
                version,
                common.request_id,
                read_wanted(version, selection.outputs, self._regions),
                bind(version, sources),
                common.options,
                common.remaining_s,
                common.started_ns,
            )

        try:
            parts = await self._serve(selection.name, selection.version, common.started_ns, call)
        except RequestError as error:
            return co_pb.ModelResult(code=error.code.value[0], message=error.text)
        return co_pb.ModelResult(response=pb.ModelInferResponse.FromString(b"".join(parts)))

    async def _serve(
        self, name: str, number: str, started_ns: int, call: Callable[[ModelVersion], Call]
    ) -> list[Buffer]:
        """By the version that is there now, or by the one that takes its place meanwhile."""
        while True:
            version = self._repository.find(name, number)
            with _Counted(version, started_ns):
                try:
                    return await self._run(call(version))
                except GoneError:
                    if self._repository.find(name, number) is version:
                        raise

    async def _run(self, call: Call) -> list[Buffer]:
        version = call.version
        deadline_us = _deadline_us(call)
        shapes = tuple(source.shape for source in call.sources)
        program = version.programs.enter(shapes)
        while program is None:
            await self._build(call, deadline_us, shapes)
            program = version.programs.enter(shapes)
        try:
            filling_ns = time.monotonic_ns()
            inputs = [source.input(self._allocator) for source in call.sources]
            filled_ns = time.monotonic_ns()
            reply = await self._flights.start(
                version, program.program_id, inputs, deadline_us, call.options.priority
            )
        finally:
            version.programs.leave(program)
        if reply.code:
            raise from_number(reply.code, f"model '{version.name}': {reply.message}")
        answering_ns = time.monotonic_ns()
        parts = answer(version, call.request_id, call.wanted, reply.outputs, call.final)
        self._count(call, reply, filled_ns - filling_ns, answering_ns)
        return parts

    async def _build(
        self, call: Call, deadline_us: int, shapes: tuple[tuple[int, ...], ...]
    ) -> None:
        """Wait for the program of these shapes, but not past the deadline."""
        if call.version.aside:
            raise unavailable(f"model '{call.version.name}': {call.version.aside}")
        wait_s = (deadline_us - now_us()) / 1e6 if deadline_us else None
        try:
            async with asyncio.timeout(wait_s):
                await call.version.programs.build(shapes)
        except TimeoutError:
            raise RequestError(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"Request timeout expired while model '{call.version.name}' was compiled for the "
                f"shapes {[list(shape) for shape in shapes]}; send again, it goes on meanwhile",
            ) from None

    def _count(self, call: Call, reply: Reply, input_ns: int, answering_ns: int) -> None:
        now_ns = time.monotonic_ns()
        statistics = call.version.statistics
        statistics.succeeded(
            RequestTimes(
                now_ns - call.started_ns,
                reply.queue_us * 1000,
                input_ns,
                reply.compute_us * 1000,
                now_ns - answering_ns,
            ),
            call.version.batch_of(tuple(source.shape for source in call.sources)),
        )
        statistics.shared_jobs += reply.shared_jobs
        statistics.saved_us += reply.saved_us


class _Counted:
    """Counts a request as pending, and as failed when it is."""

    __slots__ = ("_started_ns", "_statistics")

    def __init__(self, version: ModelVersion, started_ns: int) -> None:
        self._statistics = version.statistics
        self._started_ns = started_ns

    def __enter__(self) -> None:
        self._statistics.pending += 1

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._statistics.pending -= 1
        if error is None:
            return
        code = grpc.StatusCode.INTERNAL
        if isinstance(error, RequestError):
            code = error.code
        elif isinstance(error, asyncio.CancelledError):
            code = grpc.StatusCode.CANCELLED
        self._statistics.failed(time.monotonic_ns() - self._started_ns, code)


def _deadline_us(call: Call) -> int:
    """The earliest of the caller's, the request's and the model's own; 0: none."""
    options = call.version.options
    limits = [options.objective_us, call.options.timeout_us or options.timeout_us]
    if call.remaining_s is not None:
        limits.append(max(1, int(call.remaining_s * 1e6)))
    given = [limit for limit in limits if 0 < limit <= _LIMIT_US_MAX]
    return call.started_ns // 1000 + min(given) if given else 0
