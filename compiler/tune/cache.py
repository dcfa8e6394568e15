"""What was measured before, on disk.

One file per machine and library, FOLDER/<digest>.json, so that measurements of another machine,
another instruction set or another build of the kernels are never found by accident. Writers
merge under a lock and replace the file at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from coexec.compiler.errors import CompileError
from coexec.compiler.tune.choice import Choice
from coexec.kernels import _kernels

_FORMAT = 1
_BYTES_MAX = 256 << 20
_MADE_BY = ("format", "cpu", "isa", "library")


def default_folder() -> Path:
    """Where the daemon looks too, unless it is given a state directory of its own."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "coexec" / "tuning"


@cache
def identity() -> dict[str, Any]:
    """What a measurement holds for: this format, CPU, instruction set and kernel library."""
    library = hashlib.sha256(Path(str(_kernels.__file__)).read_bytes()).hexdigest()[:16]
    return {
        "format": _FORMAT,
        "cpu": _cpu_name(),
        "isa": _kernels.host_isa(),
        "library": library,
    }


def content(folder: Path) -> str:
    """A digest of what is known there on this machine; "" when it is nothing."""
    try:
        return _digest(_bytes(_path_in(folder)))
    except CompileError:
        return ""


def _cpu_name() -> str:
    """The model's name; on Arm the numbers that stand for it."""
    names = ("model name", "Hardware", "CPU implementer", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in names:
            found.setdefault(key.strip(), value.strip())
    return " ".join(found.values()) or platform.processor() or platform.machine()


class Tuning:
    """Choices by key. folder: None keeps nothing. warnings: what was wrong with the file found
    there, which then counts as empty. content: the file's digest, as content() gives it, when it
    was last read or written here."""

    def __init__(self, folder: Path | None) -> None:
        self.warnings: list[str] = []
        self.content = ""
        self._path = None if folder is None else _path_in(folder)
        self._entries: dict[str, Choice] = {}
        self._new: dict[str, Choice] = {}
        if self._path is not None and self._path.exists():
            try:
                data = _bytes(self._path)
                self.content = _digest(data)
                self._entries = _parsed(self._path, data)
            except CompileError as error:
                self.warnings.append(f"{error}; it is ignored")

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str, mode: str = "") -> Choice | None:
        """The choice, measured with at least that effort: "full" wants full, others any."""
        found = self._entries.get(key)
        return None if found is None or (mode == "full" and found.mode != "full") else found

    def keep(self, key: str, choice: Choice) -> None:
        self._entries[key] = self._new[key] = choice

    def save(self) -> None:
        """Adds what is new to the file. Raises CompileError when it cannot be written."""
        if self._path is None or not self._new:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._path.with_suffix(".lock")):
                with contextlib.suppress(CompileError):
                    self._entries = {**_parsed(self._path, _bytes(self._path)), **self._new}
                self.content = _write(self._path, self._entries)
        except OSError as error:
            raise CompileError(f"{self._path} cannot be written: {error.strerror}") from error
        self._new = {}

    @property
    def path(self) -> Path | None:
        """The file of this machine and build; None when nothing is kept."""
        return self._path

    def forget(self) -> int:
        """Removes that file; returns how many choices it held. Raises CompileError."""
        count = len(self._entries)
        self._entries, self._new, self.content = {}, {}, ""
        try:
            if self._path is not None and self._path.exists():
                with _locked(self._path.with_suffix(".lock")):
                    self._path.unlink(missing_ok=True)
        except OSError as error:
            raise CompileError(f"{self._path} cannot be removed: {error.strerror}") from error
        return count

    def export(self, target: Path) -> int:
        """Writes all choices to a file of the same form; returns how many. Raises CompileError."""
        try:
            _write(target, self._entries)
        except OSError as error:
            raise CompileError(f"{target} cannot be written: {error.strerror}") from error
        return len(self._entries)

    def take(self, source: Path) -> int:
        """Adds the choices of an exported file, which replace those of equal key; returns how
        many. Raises CompileError when it was made elsewhere, or is no such file."""
        for key, choice in (taken := _parsed(source, _bytes(source))).items():
            self.keep(key, choice)
        return len(taken)


def _path_in(folder: Path) -> Path:
    made_by = json.dumps(identity(), sort_keys=True)
    return folder / f"{hashlib.sha256(made_by.encode()).hexdigest()[:16]}.json"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise CompileError(f"{path}: no tuning file, it has more than {_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CompileError(f"{path}: {error.strerror}") from error


def _parsed(path: Path, data: bytes) -> dict[str, Choice]:
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError):
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(facts, dict):
        raise _damaged(path, "it is JSON, but not an object")
    if absent := [name for name in (*_MADE_BY, "choices") if name not in facts]:
        raise _damaged(path, f"it has no {', '.join(absent)}")
    made_by, own = {name: facts[name] for name in _MADE_BY}, identity()
    if made_by["format"] != own["format"]:
        raise CompileError(
            f"{path}: is of format {made_by['format']!r}; this version reads {own['format']}"
        )
    if made_by != own:
        raise CompileError(f"{path}: measured on {_words(made_by)}; this is {_words(own)}")
    if not isinstance(facts["choices"], dict):
        raise _damaged(path, "its choices are not an object")
    return {key: _choice(path, key, row) for key, row in facts["choices"].items()}


def _choice(path: Path, key: str, row: Any) -> Choice:
    try:
        return Choice.from_json(row)
    except KeyError as error:
        raise _damaged(path, f"its choice {key} has no {error.args[0]}") from None
    except ValueError as error:
        raise _damaged(path, f"its choice {key}: {error}") from None
    except TypeError:
        raise _damaged(path, f"its choice {key} has not the form of one") from None


def _damaged(path: Path, why: str) -> CompileError:
    return CompileError(f"{path}: damaged, or no tuning file: {why}")


def _words(made_by: Mapping[str, Any]) -> str:
    return f"{made_by['cpu']} ({made_by['isa']}) with kernels {made_by['library']}"


def _write(path: Path, entries: Mapping[str, Choice]) -> str:
    """Returns the digest of what was written."""
    facts = {**identity(), "choices": {key: entries[key].to_json() for key in sorted(entries)}}
    data = json.dumps(facts, indent=0).encode()
    descriptor, building = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        Path(building).replace(path)
    except BaseException:
        Path(building).unlink(missing_ok=True)
        raise
    return _digest(data)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
