"""`coexec serve`: where it listens, how it starts and ends, what it refuses to do."""

from __future__ import annotations

import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coexec.clients import Client, Tls

from . import networks
from .conftest import Daemon, running, tensor, wait_for


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "coexec.daemon", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_socket_is_its_owners(daemon: Daemon) -> None:
    status = Path(daemon.address.removeprefix("unix:")).stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--listen", "0.0.0.0:0"], "can be reached from other machines, and there is no TLS"),
        (["--listen", "nowhere"], "is no address"),
        (["--http", "0.0.0.0:0"], "can be reached from other machines"),
        (["--cores", "100000"], "none of this process's"),
        (["--onnxruntime-lanes", "0"], "onnxruntime_lanes is 0; this process may use"),
        (["--onnxruntime-lanes", "9999"], "onnxruntime_lanes is 9999; this process may use"),
        (["--hang-seconds", "-4"], "hang_seconds is -4; 0 or more"),
        (["--http", "127.0.0.1:0", "--listen", "unix:/proc/s"], "/proc"),
        (["--tls-key", "k"], "go together"),
        (["--config", "/does/not/exist.toml"], "No such file"),
        (["--state-dir", "/proc/nowhere"], "choose another --state-dir"),
    ],
)
def test_what_it_refuses(tmp_path: Path, arguments: list[str], text: str) -> None:
    given = ["--state-dir", str(tmp_path / "state"), "--listen", f"unix:{tmp_path}/s", *arguments]
    done = _serve(*given)
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stderr.startswith("coexec serve: "), "nothing was begun, so nothing is logged"
    assert "Traceback" not in done.stderr


def test_a_second_daemon_stays_away(daemon: Daemon, tmp_path: Path) -> None:
    state = str(daemon.folder / "state")
    done = _serve("--state-dir", state, "--listen", f"unix:{tmp_path}/s")
    assert done.returncode == 1
    assert "another daemon uses this state directory" in done.stderr
    done = _serve("--state-dir", str(tmp_path / "state"), "--listen", daemon.address)
    assert done.returncode == 1
    assert "another daemon listens there" in done.stderr


def test_tcp_config_file_and_message_bound(tmp_path: Path, models: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'listen = ["127.0.0.1:0"]\nmessage-bytes-max = 100000\nlog-json = true\n'
        f'model-repository = ["{models}"]\nmodel-control = "explicit"\n'
    )
    daemon = Daemon(tmp_path / "d")
    daemon.command += ["--config", str(config)]
    daemon.command = [part for part in daemon.command if part != "--listen"]
    daemon.command.remove(daemon.address)
    daemon.start(ready=False)
    try:
        said = wait_for(lambda: daemon.said(r'"port": (\d+)'), "the port")
        with triton.InferenceServerClient(f"127.0.0.1:{said[1]}") as client:
            wait_for(lambda: _is_ready(client), "the server")
            client.load_model("any_shape")
            x = np.zeros((1, 30000), np.float32)
            with pytest.raises(triton.InferenceServerException, match="larger than max") as caught:
                client.infer("any_shape", [tensor("x", x)])
            assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
            small = x[:, :100]
            client.infer("any_shape", [tensor("x", small)])
    finally:
        assert daemon.stop() == 0


def _is_ready(client: triton.InferenceServerClient) -> bool:
    try:
        return bool(client.is_server_ready())
    except triton.InferenceServerException:
        return False


def test_sigterm_finishes_what_is_in_flight(tmp_path: Path) -> None:
    models = tmp_path / "models"
    networks.slow(networks.place(models, "slow"), layers=100)
    daemon = Daemon(tmp_path / "d", "--http", "127.0.0.1:0", models=models).start()
    outcome: list[Any] = []
    x = np.ones(networks.SLOW_SHAPE, np.float32)
    with daemon.client() as client, grpc.insecure_channel(daemon.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        for _ in range(3):
            client.async_infer(
                "slow", [tensor("t0", x)], lambda result, error: outcome.append(error or result)
            )
        wait_for(lambda: daemon.metric("coexec_requests_in_flight") == 3, "the requests to arrive")
        daemon.process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        wait_for(lambda: len(outcome) == 3, "the answers")
    for result in outcome:
        np.testing.assert_array_equal(result.as_numpy("t100"), x)
    assert daemon.process.wait(60) == 0
    assert not Path(daemon.address.removeprefix("unix:")).exists()
    assert daemon.said("event=stopped")


def test_it_starts_again_after_kill_9(tmp_path: Path, models: Path) -> None:
    daemon = Daemon(tmp_path, "--model-control", "explicit", models=models).start()
    daemon.process.kill()
    daemon.process.wait()
    with (
        running(tmp_path, "--model-control", "explicit", models=models) as again,
        again.client() as client,
    ):
        assert client.is_server_ready()


@pytest.mark.parametrize("held", ["nothing given", "nothing in it", "a broken model"])
def test_it_says_that_no_model_is_loaded(tmp_path: Path, held: str) -> None:
    models = tmp_path / "models"
    models.mkdir()
    if held == "a broken model":
        file = networks.place(models, "broken")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"no model")
    with running(tmp_path / "d", models=None if held == "nothing given" else models) as daemon:
        told = wait_for(lambda: daemon.said('event="no model is loaded".*'), "the warning")[0]
    assert "coexec load" in told
    if held == "nothing given":
        assert "no --model-repository is given" in told
    elif held == "nothing in it":
        assert f"{models} holds no model; one lies in NAME/VERSION/model.onnx" in told
    else:
        assert f"{models} holds broken, and none of it was to be loaded, or could be" in told


def test_two_addresses(tmp_path: Path) -> None:
    with running(tmp_path, "--listen", "127.0.0.1:0") as daemon:
        said = daemon.said(r"port=(\d+)")
        assert said is not None
        with triton.InferenceServerClient(f"127.0.0.1:{said[1]}") as client:
            assert client.is_server_live()


def test_help_and_version() -> None:
    for arguments in (["--help"], ["serve", "--help"], ["--version"]):
        command = [sys.executable, "-m", "coexec.daemon", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0
        assert "coexec" in done.stdout
    nothing = subprocess.run(
        [sys.executable, "-m", "coexec.daemon"], capture_output=True, timeout=60, check=False
    )
    assert nothing.returncode == 2


def _certificate(folder: Path) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; it makes the test's certificate")
    certificate, key = folder / "c.pem", folder / "k.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", str(key)]
    command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return certificate, key


def test_tls(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    arguments = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    with running(tmp_path / "d", "--listen", "0.0.0.0:0", *arguments) as daemon:
        said = daemon.said(r"port=(\d+)")
        assert said is not None
        address = f"localhost:{said[1]}"
        with triton.InferenceServerClient(
            address, ssl=True, root_certificates=str(certificate)
        ) as client:
            assert client.is_server_live()
        with Client(address, tls=Tls(certificate)) as ours:
            assert ours.live()
        command = [sys.executable, "-m", "coexec.daemon", "models", "--address", address]
        for ca, status in ((["--tls"], 1), (["--tls-ca", str(certificate)], 0)):
            done = subprocess.run(
                [*command, *ca], capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == status
            assert ("(CERTIFICATE_VERIFY_FAILED)" in done.stderr) is bool(status)
        with (
            triton.InferenceServerClient(address) as client,
            pytest.raises(triton.InferenceServerException),
        ):
            client.is_server_live()
