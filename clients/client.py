"""The synchronous client."""

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from coexec.protos import coexec_pb2, coexec_pb2_grpc, engine_pb2, inference_pb2, model_config_pb2
from coexec.protos.inference_pb2_grpc import GRPCInferenceServiceStub

from . import control
from .arguments import many
from .calls import Inputs, Model, Options, Version
from .errors import CoexecError, closed_error, error_from_call
from .model import ModelMetadata, ModelState, Result
from .requests import watch_request
from .session import CHANNEL_OPTIONS, Session, Stream
from .steps import Rpc, Steps
from .tls import Tls

_T = TypeVar("_T")
_Methods = Mapping[str, Callable[..., Any]]


class Client:
    """Calls a daemon. Safe with several threads; close it, or use it as a context manager.

        with Client() as client:
            result = client.infer("scene_classify", image)
            print(result["kind"], result.transport)

    address is `unix:PATH` or `HOST:PORT`; None is COEXEC_ADDRESS or the default socket. tls is for
    a daemon that listens with it. Tensors of more than 64 KB cross in shared memory when the daemon
    is on this machine and grants it; Result.transport says whether they did. Every method raises
    CoexecError or one of its kinds; an argument that cannot be sent is an ArgumentError, which is a
    ValueError too. timeout_s is how long the caller waits; the daemon treats it as a deadline too.
    """

    def __init__(
        self, address: str | None = None, *, shared_memory: bool = True, tls: Tls | None = None
    ) -> None:
        self._session = Session(address, shared_memory)
        self.address = self._session.address
        self._channel = (
            grpc.insecure_channel(self.address, options=CHANNEL_OPTIONS)
            if tls is None
            else grpc.secure_channel(self.address, tls.credentials(), options=CHANNEL_OPTIONS)
        )
        self._methods = {
            **vars(GRPCInferenceServiceStub(self._channel)),  # type: ignore[no-untyped-call]
            **vars(coexec_pb2_grpc.CoexecStub(self._channel)),  # type: ignore[no-untyped-call]
        }
        self._finalizer = weakref.finalize(
            self, _close, self._channel, self._methods, self._session
        )

    def close(self) -> None:
        """Unregister and remove the shared memory, and hang up."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Inference

    def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: Version = "",
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
        request_id: str = "",
    ) -> Result:
        """Run one model.

        inputs: name to array, or one array for a model with one input. outputs: those wanted,
        None for all. deadline_us: microseconds from now within which the answer is worth
        having, None or 0 for the model's own; the daemon refuses what it cannot do in time.
        priority: 1 is the highest, 0 the default.
        """
        options = Options(outputs, timeout_s, deadline_us, priority, request_id)
        return self._do(self._session.infer(model, version, inputs, options))

    def infer_many(
        self,
        models: Sequence[Model],
        inputs: Inputs,
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
        request_id: str = "",
    ) -> dict[str, Result | CoexecError]:
        """Run several models on the same inputs; what they have in common is computed once.

        An input goes to every model that has one of its name. Returns, by name (`name/version`
        where a version was given), each model's answer or the error it met.
        """
        options = Options(outputs, timeout_s, deadline_us, priority, request_id)
        return self._do(self._session.infer_many(models, inputs, options))

    def stream(
        self,
        model: str,
        inputs: Iterable[Inputs],
        *,
        version: Version = "",
        outputs: Sequence[str] | None = None,
        deadline_us: int | None = None,
        priority: int = 0,
    ) -> Iterator[Result | CoexecError]:
        """Send inputs as they come over one call, and yield answers as they come.

        inputs: an iterable of what infer takes, such as a list or a generator. The n-th (from 0)
        has request id `str(n)`. One that fails yields its error, and the stream goes on. Raises
        CoexecError when the stream itself breaks.
        """
        given = many(inputs)
        options = Options(outputs, None, deadline_us, priority)
        stream = Stream(self._session, model, version, options)
        failures: list[Exception] = []

        def requests() -> Iterator[inference_pb2.ModelInferRequest]:
            try:
                for item in given:
                    yield self._do(stream.request(item))
            except Exception as error:  # grpc would hide it
                failures.append(error)

        responses = _invoke(self._methods["ModelStreamInfer"], requests())
        try:
            for response in responses:
                yield stream.answer(response)
            if failures:
                raise failures[0]
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        finally:
            responses.cancel()
            stream.close()

    # The daemon and its models

    def live(self) -> bool:
        """Whether a daemon answers."""
        return self._do(control.live())

    def ready(self, model: str | None = None, version: Version = "") -> bool:
        """Whether the daemon, or a model, takes requests."""
        return self._do(control.ready(model, version))

    def models(self) -> list[ModelState]:
        """Every model of the repository and its state."""
        return self._do(control.models())

    def load(
        self,
        name: str,
        *,
        config: str | None = None,
        files: Mapping[str, bytes] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Load (or load again) a model of the repository.

        config: its configuration as JSON. files: contents under names such as
        `1/model.onnx`, for a model that the repository does not hold.
        """
        return self._do(self._session.load(name, config, files, timeout_s))

    def unload(self, name: str) -> None:
        """Unload a model. What it is computing finishes first."""
        return self._do(self._session.unload(name))

    def metadata(self, model: str, version: Version = "") -> ModelMetadata:
        """What a model takes and gives."""
        return self._do(control.metadata(model, version))

    def config(self, model: str, version: Version = "") -> model_config_pb2.ModelConfig:
        """A model's configuration."""
        return self._do(control.config(model, version))

    def statistics(
        self, model: str = "", version: Version = ""
    ) -> list[inference_pb2.ModelStatistics]:
        """Counts and durations since the start, of one model or of all."""
        return self._do(control.statistics(model, version))

    def watch_statistics(self, period_s: float = 1.0) -> Iterator[coexec_pb2.Statistics]:
        """Statistics of models and engine, at once and then every period, without end."""
        snapshots = _invoke(self._methods["WatchStatistics"], watch_request(period_s))
        try:
            yield from snapshots
        except grpc.RpcError as error:
            raise error_from_call(error, self.address) from None
        finally:
            snapshots.cancel()

    def reuse_report(self) -> engine_pb2.SharingReport:
        """What the loaded models share and what that has saved."""
        return self._do(control.reuse_report())

    def plan(self) -> engine_pb2.EnginePlan:
        """How the loaded models are cut into segments."""
        return self._do(control.plan())

    def timeline(self, window_s: float = 0.0) -> engine_pb2.TimelineWindow:
        """Every step of the last `window_s` seconds; 0: all that is kept."""
        return self._do(control.timeline(window_s))

    def _do(self, steps: Steps[_T]) -> _T:
        return _do(self._methods, self.address, steps)


def _do(methods: _Methods, address: str, steps: Steps[_T]) -> _T:
    """Take the steps: make each call, and hand its answer or error back."""
    with contextlib.closing(steps):
        try:
            rpc = next(steps)
            while True:
                answer, error = _answer(methods, address, rpc)
                rpc = steps.send(answer) if error is None else steps.throw(error)
        except StopIteration as done:
            result: _T = done.value
            return result


def _answer(methods: _Methods, address: str, rpc: Rpc) -> tuple[Any, CoexecError | None]:
    try:
        return _invoke(methods[rpc.method], rpc.request, timeout=rpc.timeout_s), None
    except grpc.RpcError as error:
        return None, error_from_call(error, address)
    except CoexecError as error:
        return None, error


def _invoke(method: Callable[..., Any], request: Any, **options: Any) -> Any:
    try:
        return method(request, **options)
    except ValueError:  # that is how gRPC says it
        raise closed_error() from None


def _close(channel: grpc.Channel, methods: _Methods, session: Session) -> None:
    session.pool.close()
    _do(methods, session.address, session.unregister_dropped())
    channel.close()
