"""A daemon of the demo's own: temporary folders, a Unix socket, gone at the end."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from coexec.clients import Client, CoexecError

NETWORKS = Path(__file__).parent / "networks"
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 15.0


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def fill_repository(folder: Path) -> list[str]:
    """Lay the shipped networks out as a model repository; their names."""
    names = []
    for path in sorted(NETWORKS.glob("*.onnx")):
        version = folder / path.stem / "1"
        version.mkdir(parents=True)
        shutil.copyfile(path, version / "model.onnx")
        names.append(path.stem)
    return names


class ServedDaemon:
    """Starts a daemon on entering and waits until every network is ready; stops it on leaving."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self.address = f"unix:{folder / 'coexec.sock'}"
        self._log = folder / "daemon.log"

    def __enter__(self) -> Self:
        names = fill_repository(self._folder / "models")
        arguments = ["serve", "--model-repository", str(self._folder / "models")]
        arguments += ["--listen", self.address, "--state-dir", str(self._folder / "state")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "coexec.daemon", *arguments, *self._options],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.client = Client(self.address)
        try:
            self._wait(names)
        except BaseException:
            self._stop()
            raise
        return self

    def _wait(self, names: list[str]) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise DemoError(f"the daemon ended at its start:\n{self._log_end()}")
            try:
                states = {model.name: model for model in self.client.models()}
                if all(name in states and states[name].state == "READY" for name in names):
                    return
                for model in states.values():
                    if model.state == "UNAVAILABLE" and model.reason:
                        raise DemoError(f"{model.name} does not load: {model.reason}")
            except CoexecError:
                pass  # not listening yet
            time.sleep(0.1)
        raise DemoError(f"not ready after {_START_TIMEOUT_S:.0f} s:\n{self._log_end()}")

    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def memory_bytes(self) -> int:
        """What daemon and engine take, memory they share counted once."""
        root = psutil.Process(self._process.pid)
        processes = [root, *root.children(recursive=True)]
        return sum(process.memory_full_info().pss for process in processes)

    def _stop(self) -> None:
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        if error is None and self._process.returncode != 0:
            code = self._process.returncode
            raise DemoError(f"the daemon stopped with status {code}:\n{self._log_end()}")
