"""Structured logs: one line per event, as key=value or JSON."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import structlog

from coexec.daemon.errors import invalid

_DEFAULTS: dict[str, bool | int | str] = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}
_FORMATS = ("default", "ISO8601")
_SWITCH = {"info": "log_info", "warning": "log_warning", "error": "log_error"}


class Logs:
    """Where logs go and which are written. Settings have the protocol's names; log_verbose_level
    above 0 adds debug messages; log_file names a file inside `folder`, since whoever may call
    the daemon may set it."""

    def __init__(self, folder: Path, as_json: bool = False) -> None:
        self._folder = folder
        self.settings = dict(_DEFAULTS)
        self._lock = threading.Lock()
        self._stream: IO[str] = sys.stderr
        renderer = (
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.processors.LogfmtRenderer(
                key_order=["time", "level", "logger", "event"], drop_missing=True
            )
        )
        structlog.configure(
            processors=[
                self._filter,
                structlog.processors.add_log_level,
                self._stamp,
                structlog.processors.format_exc_info,
                renderer,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=lambda *names: _Line(self, *names),
            cache_logger_on_first_use=True,
        )

    def change(self, changes: Mapping[str, bool | int | str]) -> None:
        """All of the changes or none. Raises RequestError for an unknown setting or value."""
        for key, value in changes.items():
            if key not in _DEFAULTS:
                raise invalid(f"log setting '{key}' is not known; known are {', '.join(_DEFAULTS)}")
            if type(value) is not type(_DEFAULTS[key]):
                want = type(_DEFAULTS[key]).__name__
                raise invalid(f"log setting '{key}' takes a {want}, {value!r} is given")
        if changes.get("log_format", "default") not in _FORMATS:
            raise invalid(f"log_format is none of {', '.join(_FORMATS)}")
        if "log_file" in changes:
            self._open(str(changes["log_file"]))
        self.settings.update(changes)

    def write(self, line: str) -> None:
        # A full disk, or a terminal that is gone, is no reason to stop serving.
        with self._lock, contextlib.suppress(OSError):
            self._stream.write(line + "\n")
            self._stream.flush()

    def _open(self, name: str) -> None:
        stream: IO[str] = sys.stderr
        if name:
            if Path(name).name != name or name.startswith("."):
                raise invalid(f"log_file '{name}' must be a plain name; it lies in {self._folder}")
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                stream = (self._folder / name).open("a")
            except OSError as error:
                raise invalid(f"log_file '{name}': {error.strerror}") from None
        with self._lock:
            before, self._stream = self._stream, stream
        if before is not sys.stderr:
            before.close()

    def _filter(self, _: Any, method: str, event: Any) -> Any:
        if method == "debug":
            wanted = bool(self.settings["log_verbose_level"])
        else:
            wanted = bool(self.settings[_SWITCH.get(method, "log_error")])
        if not wanted:
            raise structlog.DropEvent
        return event

    def _stamp(self, logger: Any, _: str, event: Any) -> Any:
        utc = self.settings["log_format"] == "ISO8601"
        stamper = structlog.processors.TimeStamper(
            fmt="iso" if utc else "%Y-%m-%d %H:%M:%S.%f", utc=utc, key="time"
        )
        event = stamper(logger, "", event)
        event["logger"] = logger.name
        return event


class _Line:
    """What structlog hands finished lines to."""

    def __init__(self, logs: Logs, name: str = "") -> None:
        self.name = name
        self._logs = logs

    def msg(self, line: str) -> None:
        self._logs.write(line)

    debug = info = warning = warn = error = critical = exception = log = msg
