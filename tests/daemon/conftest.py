"""A real daemon process with tiny models, and clients that did not come from us."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc

from . import networks

START_S = 240


class Daemon:
    """`coexec serve` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, models: Path | None = None) -> None:
        self.folder = folder
        self.log = folder / "daemon.log"
        self.address = f"unix:{folder / 's'}"
        self.command = [sys.executable, "-m", "coexec.daemon", "serve"]
        self.command += ["--listen", self.address, "--state-dir", str(folder / "state")]
        if models is not None:
            self.command += ["--model-repository", str(models)]
        self.command += arguments
        self.process: subprocess.Popen[bytes]

    def start(self, ready: bool = True) -> Daemon:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        if ready:
            wait_for(self.serves, f"the daemon to serve:\n{self.log.read_text()}", START_S)
        return self

    def serves(self) -> bool:
        assert self.process.poll() is None, self.log.exists() and self.log.read_text()
        with grpc.insecure_channel(self.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            with contextlib.suppress(grpc.RpcError):
                reply = health.Check(
                    health_pb2.HealthCheckRequest(), timeout=5, wait_for_ready=True
                )
                return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
        return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def client(self) -> triton.InferenceServerClient:
        return triton.InferenceServerClient(self.address)

    def engine(self) -> psutil.Process | None:
        """None between two lives of it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "coexec.scheduler.engine" in child.cmdline():
                        return child
        return None

    def metrics(self) -> str:
        """What /metrics says; for a daemon that was given --http."""
        said = self.said(r"url=(http://\S+)")
        assert said is not None
        with urllib.request.urlopen(said[1], timeout=10) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        """A metric without labels."""
        found = re.search(rf"^{name} (\S+)$", self.metrics(), re.MULTILINE)
        assert found is not None
        return float(found[1])

    def said(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.log.read_text())


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
    """What the condition returns once it is true."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    pytest.fail(f"waited {timeout_s} s for {what}")


@contextlib.contextmanager
def running(folder: Path, *arguments: str, models: Path | None = None) -> Iterator[Daemon]:
    daemon = Daemon(folder, *arguments, models=models).start()
    try:
        yield daemon
    finally:
        if daemon.process.poll() is None:
            status = daemon.stop()
            assert status == 0, daemon.log.read_text()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every network of networks.py."""
    return networks.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Daemon]:
    """One daemon for all tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("daemon")
    with running(folder, "--http", "127.0.0.1:0", models=models) as daemon:
        yield daemon


@pytest.fixture
def client(daemon: Daemon) -> Iterator[triton.InferenceServerClient]:
    with daemon.client() as client:
        yield client


def tensor(name: str, array: np.ndarray[Any, Any], datatype: str = "") -> triton.InferInput:
    made = triton.InferInput(
        name, list(array.shape), datatype or triton.np_to_triton_dtype(array.dtype)
    )
    made.set_data_from_numpy(array)
    return made


@pytest.fixture
def shm() -> Iterator[Callable[[int], Path]]:
    """Makes objects in /dev/shm of so many bytes."""
    made: list[Path] = []

    def make(byte_size: int) -> Path:
        path = Path(f"/dev/shm/coexec-test-{os.getpid()}-{len(made)}")
        path.write_bytes(bytes(byte_size))
        made.append(path)
        return path

    yield make
    for path in made:
        path.unlink(missing_ok=True)
