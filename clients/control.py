"""Questions about the daemon and its models, as steps (steps.py); the clients say what each is."""

from coexec.protos import coexec_pb2, engine_pb2, inference_pb2, model_config_pb2

from .answers import metadata_from, states_from
from .arguments import text, version_text
from .calls import Version
from .errors import UnavailableError
from .model import ModelMetadata, ModelState
from .requests import timeline_request
from .steps import Rpc, Steps


def live() -> Steps[bool]:
    try:
        response = yield Rpc("ServerLive", inference_pb2.ServerLiveRequest())
    except UnavailableError:
        return False
    return bool(response.live)


def ready(model: str | None, version: Version) -> Steps[bool]:
    if model is None:
        response = yield Rpc("ServerReady", inference_pb2.ServerReadyRequest())
    else:
        response = yield Rpc(
            "ModelReady", inference_pb2.ModelReadyRequest(**_named(model, version))
        )
    return bool(response.ready)


def models() -> Steps[list[ModelState]]:
    return states_from((yield Rpc("RepositoryIndex", inference_pb2.RepositoryIndexRequest())))


def metadata(model: str, version: Version) -> Steps[ModelMetadata]:
    request = inference_pb2.ModelMetadataRequest(**_named(model, version))
    return metadata_from((yield Rpc("ModelMetadata", request)))


def config(model: str, version: Version) -> Steps[model_config_pb2.ModelConfig]:
    request = inference_pb2.ModelConfigRequest(**_named(model, version))
    response: inference_pb2.ModelConfigResponse = yield Rpc("ModelConfig", request)
    return response.config


def statistics(model: str, version: Version) -> Steps[list[inference_pb2.ModelStatistics]]:
    request = inference_pb2.ModelStatisticsRequest(**_named(model, version))
    return list((yield Rpc("ModelStatistics", request)).model_stats)


def reuse_report() -> Steps[engine_pb2.SharingReport]:
    report: engine_pb2.SharingReport = yield Rpc("ReuseReport", coexec_pb2.ReuseReportRequest())
    return report


def plan() -> Steps[engine_pb2.EnginePlan]:
    cut: engine_pb2.EnginePlan = yield Rpc("Plan", coexec_pb2.PlanRequest())
    return cut


def timeline(window_s: float) -> Steps[engine_pb2.TimelineWindow]:
    window: engine_pb2.TimelineWindow = yield Rpc("Timeline", timeline_request(window_s))
    return window


def _named(model: str, version: Version) -> dict[str, str]:
    """Raises ArgumentError."""
    return {"name": text("model", model), "version": version_text(version)}
