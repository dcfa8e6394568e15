"""How a daemon is told what to do: options of `coexec serve`, or the same names in a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from coexec.clients.addresses import default_socket
from coexec.compiler.errors import did_you_mean
from coexec.daemon.listen import ListenError, parse_address

_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1
_WORDS = {
    "int": "a whole number",
    "str": "a string",
    "bool": "true or false",
    "list[str]": "a list of strings",
}
_MAY_BE_ZERO = ("cache_bytes_max", "drain_seconds", "hang_seconds", "log_verbose")


class SettingsError(ValueError):
    """A setting that is unknown or does not fit; the text names it."""


def default_state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "coexec"


@dataclass(slots=True)
class Settings:
    """cores: of each lane; empty: one lane for every core this process may use."""

    model_repository: list[str] = field(default_factory=list)
    listen: list[str] = field(default_factory=lambda: [f"unix:{default_socket()}"])
    http: str = ""
    state_dir: str = field(default_factory=lambda: str(default_state_dir()))
    reuse: bool = True
    model_control: str = "all"  # or "explicit": load nothing but what was loaded on request
    cores: str = ""
    onnxruntime_lanes: int = 1
    quantum_us: int = 2000
    queue_len_max: int = 256  # per segment, in the engine
    in_flight_max: int = 4096  # requests, in the daemon
    message_bytes_max: int = _INT32_MAX
    input_bytes_max: int = 1 << 32  # memory for inputs of requests in flight
    output_bytes_max: int = 1 << 32
    cache_bytes_max: int = 1 << 34  # compiled models on disk
    compile_seconds_max: int = 600
    compile_bytes_max: int = 1 << 34  # memory of one compilation
    hang_seconds: int = 30  # without any progress, and the engine is started again; 0: never
    drain_seconds: int = 30
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    log_json: bool = False
    log_verbose: int = 0

    def require_folders(self) -> None:
        """Raises SettingsError for a model repository that does not exist."""
        for folder in self.model_repository:
            if not Path(folder).is_dir():
                raise SettingsError(f"model repository {folder!r}: no such folder")

    def lanes(self) -> list[list[int]]:
        """Raises SettingsError."""
        return parse_lanes(self.cores)


def parse_lanes(text: str) -> list[list[int]]:
    """ "0-1;2" means two lanes: cores 0 and 1, and core 2. Raises SettingsError for a core that
    this process may not use, or one in two lanes."""
    allowed = os.sched_getaffinity(0)
    lanes = [_parse_cores(part) for part in text.split(";") if part.strip()]
    chosen = [core for lane in lanes for core in lane]
    for core in chosen:
        if core not in allowed:
            raise SettingsError(f"cores: {core} is none of this process's: {sorted(allowed)}")
    if len(set(chosen)) != len(chosen):
        raise SettingsError(f"cores: {text!r} has a core twice")
    return lanes


def _parse_cores(text: str) -> list[int]:
    cores: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise SettingsError(f"cores: {text!r} is no list of cores, as in 0-3,6")
        cores += range(int(first), int(last if dash else first) + 1)
    return cores


def read_settings(path: Path) -> dict[str, Any]:
    """Settings by name from a TOML file. Raises SettingsError, which names the file."""
    try:
        with path.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    values = {key.replace("-", "_"): value for key, value in document.items()}
    try:
        _check(values)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    return values


def merge(*layers: Mapping[str, Any]) -> Settings:
    """Later layers win. Raises SettingsError for an unknown name or a value that does not fit."""
    settings = Settings()
    for layer in layers:
        _check(layer)
        for name, value in layer.items():
            setattr(settings, name, value)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("tls_certificate and tls_key go together")
    return settings


def _check(layer: Mapping[str, Any]) -> None:
    """Raises SettingsError."""
    known = {entry.name: str(entry.type) for entry in fields(Settings)}
    limits = _limits()
    for name, value in layer.items():
        if name not in known:
            near = did_you_mean(name, known)
            raise SettingsError(f"unknown setting {name!r}{near}; known: {', '.join(known)}")
        if not _is_a(known[name], value):
            raise SettingsError(f"{name} is {value!r}; it must be {_WORDS[known[name]]}")
        if name in limits and not limits[name][0] <= value <= limits[name][1]:
            raise SettingsError(f"{name} is {value}; {_what_fits(name, *limits[name])}")
    if layer.get("model_control", "all") not in ("all", "explicit"):
        raise SettingsError(f"model_control is {layer['model_control']!r}; all or explicit fits")
    parse_lanes(layer.get("cores", ""))
    http = [layer["http"]] if layer.get("http") else []
    for address in (*layer.get("listen", ()), *http):
        try:
            parse_address(address)
        except ListenError as error:
            raise SettingsError(str(error)) from None


def _is_a(kind: str, value: object) -> bool:
    if kind == "list[str]":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return type(value).__name__ == kind  # True is no whole number


def _limits() -> dict[str, tuple[int, int]]:
    """The least and the most that a number may be."""
    limits = {
        entry.name: (int(entry.name not in _MAY_BE_ZERO), _INT64_MAX)
        for entry in fields(Settings)
        if entry.type == "int"
    }
    limits["message_bytes_max"] = 1, _INT32_MAX
    limits["onnxruntime_lanes"] = 1, len(os.sched_getaffinity(0))
    return limits


def _what_fits(name: str, least: int, most: int) -> str:
    if name == "onnxruntime_lanes":
        return f"this process may use {most} of the machine's {os.cpu_count()} cores: 1 to {most}"
    return f"{least} or more" if most == _INT64_MAX else f"{least} to {most}"
