"""What outlives the daemon: which models its callers loaded and unloaded."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

_VERSION = 1
_log = structlog.get_logger("state")


class StateError(RuntimeError):
    """The state directory cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class StoredOverride:
    """config: JSON. folder: the name of the folder with the files, under overrides/NAME/; "" when
    there came none."""

    config: str
    folder: str = ""


@dataclass(slots=True)
class State:
    """loaded: models loaded on request. unloaded: models of the repository unloaded on request.
    overrides: what load requests brought along."""

    loaded: set[str] = field(default_factory=set)
    unloaded: set[str] = field(default_factory=set)
    overrides: dict[str, StoredOverride] = field(default_factory=dict)


class StateStore:
    """The state file of one daemon, and a lock that keeps a second daemon away."""

    def __init__(self, folder: Path) -> None:
        """Raises StateError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(f"{folder}: {error.strerror}; choose another --state-dir") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateError(
                f"{folder}: another daemon uses this state directory; stop it, or give "
                "--state-dir another"
            ) from None
        self.folder = folder
        self._file = folder / "state.json"

    def close(self) -> None:
        os.close(self._lock)

    def read(self) -> State:
        """What was saved last. A damaged file is set aside and nothing is remembered."""
        try:
            document = json.loads(self._file.read_text())
            if document["version"] != _VERSION:
                raise ValueError(f"version {document['version']}")
            overrides = {
                name: StoredOverride(row["config"], row["folder"])
                for name, row in document["overrides"].items()
            }
            return State(set(document["loaded"]), set(document["unloaded"]), overrides)
        except FileNotFoundError:
            return State()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            aside = self._file.with_suffix(".damaged")
            self._file.replace(aside)
            _log.warning("state file set aside", file=str(aside), why=str(error))
            return State()

    def write(self, state: State) -> None:
        """Atomically: after a power cut there is the old file or the new one."""
        document = asdict(state) | {
            "version": _VERSION,
            "loaded": sorted(state.loaded),
            "unloaded": sorted(state.unloaded),
        }
        handle, name = tempfile.mkstemp(prefix=".state-", dir=self.folder)
        with os.fdopen(handle, "w") as stream:
            json.dump(document, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(self._file)
