"""Start a daemon for a measurement, in a process of its own, and stop it afterwards."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc

_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon: where it listens and its processes."""

    address: str  # "unix:PATH"
    process: subprocess.Popen[bytes]

    def client(self) -> triton.InferenceServerClient:
        """A Triton client over the daemon's socket."""
        return triton.InferenceServerClient(self.address)

    def engine(self) -> psutil.Process:
        """The engine process: the child that holds the weights."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it may be gone by now
                if "coexec.scheduler.engine" in " ".join(child.cmdline()):
                    return child
        raise RuntimeError("the daemon has no engine process")


@contextlib.contextmanager
def serve(folder: Path, *arguments: str, ready_s: float = 600) -> Iterator[Daemon]:
    """A daemon whose socket and state lie in `folder`. Its log goes to folder/daemon.log."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"unix:{folder / 'coexec.sock'}"
    command = [sys.executable, "-m", "coexec.daemon", "serve", "--listen", address]
    command += ["--state-dir", str(folder / "state"), *arguments]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
        try:
            _wait_until_serving(address, process, folder / "daemon.log", ready_s)
            yield Daemon(address, process)
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_serving(
    address: str, process: subprocess.Popen[bytes], log: Path, ready_s: float
) -> None:
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        end = time.monotonic() + ready_s
        while time.monotonic() < end:
            if process.poll() is not None:
                raise RuntimeError(f"the daemon stopped:\n{log.read_text()[-4000:]}")
            try:
                request = health_pb2.HealthCheckRequest()
                reply = health.Check(request, timeout=5, wait_for_ready=True)
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError:
                pass
            time.sleep(0.2)
    raise RuntimeError(f"the daemon is not serving after {ready_s} s:\n{log.read_text()[-4000:]}")


def repository(folder: Path, models: dict[str, Path]) -> Path:
    """A model repository of links: folder/NAME/1/model.onnx."""
    for name, path in models.items():
        target = folder / name / "1" / "model.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(path.read_bytes())
    return folder
