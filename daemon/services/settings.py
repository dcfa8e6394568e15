"""Trace and log settings."""

from __future__ import annotations

from typing import Any

from coexec.daemon.errors import invalid
from coexec.daemon.logs import Logs
from coexec.daemon.repository.repository import Repository
from coexec.daemon.services.handlers import unary
from coexec.protos import inference_pb2 as pb

_TRACE_DEFAULTS = {
    "trace_file": [""],
    "trace_level": ["OFF"],
    "trace_rate": ["1000"],
    "trace_count": ["-1"],
    "log_frequency": ["0"],
}
_TRACE_LEVELS = ("OFF", "TIMESTAMPS", "TENSORS")
_TRACE_NUMBERS = {"trace_rate": 0, "trace_count": -1, "log_frequency": 0}  # and the least of each


class SettingsService:
    """Trace settings are kept and returned, globally and per model; a model without its own has
    the global ones. Log settings take effect."""

    def __init__(self, repository: Repository, logs: Logs) -> None:
        self._repository = repository
        self._logs = logs
        self._trace: dict[str, dict[str, list[str]]] = {}  # "": global

    def handlers(self) -> dict[str, Any]:
        return {
            "TraceSetting": unary(pb.TraceSettingRequest, self._set_trace),
            "LogSettings": unary(pb.LogSettingsRequest, self._set_log),
        }

    def _set_trace(self, request: pb.TraceSettingRequest) -> pb.TraceSettingResponse:
        name = request.model_name
        if name:
            self._repository.find(name, "")
        given = {key: list(setting.value) for key, setting in request.settings.items()}
        for key, values in given.items():
            _check_trace(key, values)
        own = self._trace.setdefault(name, {})
        for key, values in given.items():
            if values:
                own[key] = values
            else:
                own.pop(key, None)
        response = pb.TraceSettingResponse()
        merged = _TRACE_DEFAULTS | self._trace.get("", {}) | own
        for key, values in merged.items():
            response.settings[key].value.extend(values)
        return response

    def _set_log(self, request: pb.LogSettingsRequest) -> pb.LogSettingsResponse:
        changes: dict[str, bool | int | str] = {}
        for key, setting in request.settings.items():
            kind = setting.WhichOneof("parameter_choice")
            if kind is None:
                raise invalid(f"log setting '{key}' has no value")
            changes[key] = getattr(setting, kind)
        self._logs.change(changes)
        response = pb.LogSettingsResponse()
        for key, value in self._logs.settings.items():
            if isinstance(value, bool):
                response.settings[key].bool_param = value
            elif isinstance(value, int):
                response.settings[key].uint32_param = value
            else:
                response.settings[key].string_param = value
        return response


def _check_trace(key: str, values: list[str]) -> None:
    """Raises RequestError for what is no trace setting."""
    if key not in _TRACE_DEFAULTS:
        raise invalid(f"trace setting '{key}' is not known; known are {', '.join(_TRACE_DEFAULTS)}")
    if not values:
        return
    if key == "trace_level":
        for value in values:
            if value not in _TRACE_LEVELS:
                raise invalid(f"trace_level '{value}' is none of {', '.join(_TRACE_LEVELS)}")
        return
    if len(values) != 1:
        raise invalid(f"trace setting '{key}' takes one value, {len(values)} are given")
    if key in _TRACE_NUMBERS:
        text, least = values[0], _TRACE_NUMBERS[key]
        if not text.removeprefix("-").isdecimal() or int(text) < least:
            raise invalid(f"trace setting '{key}' is '{text}'; a whole number from {least} fits")
