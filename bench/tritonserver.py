"""Start NVIDIA's Triton server as a peer: an identity model behind its Python backend.

The server comes out of the `nvidia-pytriton` wheel, installed into a virtual environment of its
own (its pins differ from ours):

    python3 -m venv DIR && DIR/bin/pip install nvidia-pytriton
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import tritonclient.grpc as triton

_CONFIG = """
name: "identity"
backend: "python"
max_batch_size: 0
input [{{ name: "x" data_type: TYPE_FP32 dims: [ 1, {width} ] }}]
output [{{ name: "y" data_type: TYPE_FP32 dims: [ 1, {width} ] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
"""
_MODEL = """
import triton_python_backend_utils as utils

class TritonPythonModel:
    def execute(self, requests):
        inputs = [utils.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        return [utils.InferenceResponse([utils.Tensor("y", x)]) for x in inputs]
"""


@contextlib.contextmanager
def serve_identity(
    environment: Path, folder: Path, width: int, ready_s: float = 60
) -> Iterator[triton.InferenceServerClient]:
    """A client of a Triton server whose model `identity` takes x[1, width] f32 and answers y.

    environment: the virtual environment that holds nvidia-pytriton for this Python's version.
    Raises FileNotFoundError where it does not, RuntimeError when the server does not come up.
    """
    site = next(environment.glob("lib/python3*/site-packages"), environment)
    bundle = site / "pytriton" / "tritonserver"
    if not bundle.is_dir():
        raise FileNotFoundError(f"no nvidia-pytriton in {environment}: pip install it there")
    version = site.parent.name.removeprefix("python")
    shutil.copytree(bundle / "backends", folder / "backends")
    stub = bundle / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, folder / "backends" / "python")
    model = folder / "models" / "identity"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text(_CONFIG.format(width=width))
    (model / "1" / "model.py").write_text(_MODEL)
    libraries = [str(site / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    port = _free_port()
    command = [str(bundle / "bin" / "tritonserver"), f"--model-repository={model.parent}"]
    command += [f"--backend-directory={folder / 'backends'}", "--allow-http=false"]
    command += ["--allow-metrics=false", "--grpc-address=127.0.0.1", f"--grpc-port={port}"]
    env = os.environ | {"LD_LIBRARY_PATH": ":".join(libraries)}
    with (folder / "tritonserver.log").open("wb") as log:
        # The backend's interpreter sees this folder first, and needs its older numpy.
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=site)
        try:
            with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
                _wait_until_ready(client, process, folder / "tritonserver.log", ready_s)
                yield client
        finally:
            process.terminate()
            process.wait(60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(
    client: triton.InferenceServerClient,
    process: subprocess.Popen[bytes],
    log: Path,
    ready_s: float,
) -> None:
    end = time.monotonic() + ready_s
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(triton.InferenceServerException):
            if client.is_model_ready("identity"):
                return
        time.sleep(0.2)
    raise RuntimeError(f"tritonserver is not ready:\n{log.read_text()[-4000:]}")
