"""Tensors in system shared memory, and what a client may do to its own regions."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, shared_memory

from . import networks
from .conftest import tensor, wait_for

Shm = Callable[[int], Path]
X = np.arange(16, dtype=np.float32).reshape(1, 16)


@pytest.fixture(autouse=True)
def _no_regions(client: triton.InferenceServerClient) -> Iterator[None]:
    yield
    client.unregister_system_shared_memory()


def _shared(name: str, region: str, nbytes: int = 64, offset: int = 0) -> triton.InferInput:
    made = triton.InferInput(name, [1, 16], "FP32")
    made.set_shared_memory(region, nbytes, offset)
    return made


def _wanted(region: str, nbytes: int = 64, offset: int = 0) -> list[triton.InferRequestedOutput]:
    made = triton.InferRequestedOutput("y")
    made.set_shared_memory(region, nbytes, offset)
    return [made]


def test_tritons_own_helpers(client: triton.InferenceServerClient) -> None:
    key = f"/coexec-test-{os.getpid()}-triton"
    handle = shared_memory.create_shared_memory_region("mine", key, 128)
    try:
        shared_memory.set_shared_memory_region(handle, [X])
        client.register_system_shared_memory("mine", key, 128)
        result = client.infer("identity", [_shared("x", "mine")], outputs=_wanted("mine", 64, 64))
        response = result.get_response()
        assert list(response.raw_output_contents) == [b""]
        assert response.outputs[0].parameters["shared_memory_region"].string_param == "mine"
        got = shared_memory.get_contents_as_numpy(handle, np.float32, (1, 16), 64)
        np.testing.assert_array_equal(got, X)
    finally:
        shared_memory.destroy_shared_memory_region(handle)


def test_regions_and_messages_in_one_request(
    client: triton.InferenceServerClient, shm: Shm
) -> None:
    """raw_input_contents are counted without the inputs in shared memory."""
    a, b = (np.arange(n, n + 16, dtype=np.int32).reshape(1, 16) for n in (0, 100))
    path = shm(256)
    path.write_bytes(bytes(64) + a.tobytes() + bytes(128))
    client.register_system_shared_memory("r", path.name, 192, offset=64)
    for order in ("ab", "ba"):
        inputs = {"a": triton.InferInput("a", [1, 16], "INT32"), "b": tensor("b", b)}
        inputs["a"].set_shared_memory("r", 64)
        outputs = [triton.InferRequestedOutput(name) for name in ("sum", "difference")]
        outputs[0].set_shared_memory("r", 64, 128)
        result = client.infer("add", [inputs[name] for name in order], outputs=outputs)
        assert result.get_response().raw_output_contents[0] == b""
        np.testing.assert_array_equal(result.as_numpy("difference"), a - b)
        total = np.frombuffer(path.read_bytes()[192:256], np.int32)
        np.testing.assert_array_equal(total, (a + b)[0])


def test_strings_in_a_region(client: triton.InferenceServerClient, shm: Shm) -> None:
    data = b"".join(len(v).to_bytes(4, "little") + v for v in (b"", b"ab", b"c", b"d"))
    path = shm(64)
    path.write_bytes(data + bytes(64 - len(data)))
    client.register_system_shared_memory("r", path.name, 64)
    made = triton.InferInput("x", [4], "BYTES")
    made.set_shared_memory("r", len(data))
    assert list(client.infer("strings", [made]).as_numpy("y")) == [b"", b"ab", b"c", b"d"]
    made.set_shared_memory("r", len(data) - 1)
    with pytest.raises(InferenceServerException, match="incomplete string data"):
        client.infer("strings", [made])


def test_status_and_unregister(client: triton.InferenceServerClient, shm: Shm) -> None:
    path = shm(64)
    client.unregister_system_shared_memory()  # none yet: no error
    client.register_system_shared_memory("r", f"/{path.name}", 32, offset=16)
    client.register_system_shared_memory("s", path.name, 64)
    status = client.get_system_shared_memory_status(as_json=True)["regions"]
    assert status["r"] == {
        "name": "r", "key": f"/{path.name}", "offset": "16", "byte_size": "32",
    }  # fmt: skip
    assert set(status) == {"r", "s"}
    assert set(client.get_system_shared_memory_status("s").regions) == {"s"}
    client.unregister_system_shared_memory("r")
    with pytest.raises(InferenceServerException, match="Unable to find shared memory region: 'r'"):
        client.get_system_shared_memory_status("r")
    client.unregister_system_shared_memory("r")


def test_device_memory_is_not_shared(client: triton.InferenceServerClient) -> None:
    client.unregister_cuda_shared_memory()
    client.unregister_cuda_shared_memory("r")
    assert not client.get_cuda_shared_memory_status().regions
    with pytest.raises(InferenceServerException, match="CUDA shared memory is not supported") as e:
        client.register_cuda_shared_memory("r", b"x" * 64, 0, 64)
    assert e.value.status() == "StatusCode.UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("key", "nbytes", "offset", "code", "text"),
    [
        ("/coexec-test-missing", 1, 0, "INTERNAL", "Unable to open shared memory region"),
        ("../etc/passwd", 1, 0, "INVALID_ARGUMENT", "is no key"),
        (None, 65, 0, "INVALID_ARGUMENT", "failed to register .* invalid args"),
        (None, 1, 64, "INVALID_ARGUMENT", "failed to register .* invalid args"),
        (None, 2**63, 2**63, "INVALID_ARGUMENT", "failed to register .* invalid args"),
        ("triton_python_backend_shm_region_1", 1, 0, "INVALID_ARGUMENT", "reserved prefix"),
    ],
)
def test_refused_registrations(
    client: triton.InferenceServerClient,
    shm: Shm,
    key: str | None,
    nbytes: int,
    offset: int,
    code: str,
    text: str,
) -> None:
    with pytest.raises(InferenceServerException, match=text) as caught:
        client.register_system_shared_memory("r", key or shm(64).name, nbytes, offset)
    assert caught.value.status() == f"StatusCode.{code}"


def test_a_name_is_taken_once(client: triton.InferenceServerClient, shm: Shm) -> None:
    path = shm(64)
    client.register_system_shared_memory("r", path.name, 64)
    with pytest.raises(InferenceServerException, match="'r' already in manager") as caught:
        client.register_system_shared_memory("r", path.name, 64)
    assert caught.value.status() == "StatusCode.ALREADY_EXISTS"


def test_placements_outside(client: triton.InferenceServerClient, shm: Shm) -> None:
    client.register_system_shared_memory("r", shm(256).name, 64)
    for inputs, outputs, code, text in (
        ([_shared("x", "r", 64, 4)], None, "INVALID_ARGUMENT", "Invalid offset"),
        ([_shared("x", "r", 60)], None, "INVALID_ARGUMENT", "byte size 60 .* expecting 64"),
        ([_shared("x", "s")], None, "NOT_FOUND", "Unable to find"),
        ([tensor("x", X)], _wanted("r", 64, 8), "INVALID_ARGUMENT", "Invalid offset"),
        ([tensor("x", X)], _wanted("r", 60), "INTERNAL", "at least 64 bytes to hold the results"),
    ):
        with pytest.raises(InferenceServerException, match=text) as caught:
            client.infer("identity", inputs, outputs=outputs)
        assert caught.value.status() == f"StatusCode.{code}", text


def test_a_truncated_region_harms_its_client_only(
    client: triton.InferenceServerClient, shm: Shm
) -> None:
    path, other = shm(64), shm(64)
    client.register_system_shared_memory("r", path.name, 64)
    client.register_system_shared_memory("other", other.name, 64)
    os.truncate(path, 10)
    for inputs, outputs in (([_shared("x", "r")], None), ([tensor("x", X)], _wanted("r"))):
        with pytest.raises(InferenceServerException, match="was truncated after it was reg"):
            client.infer("identity", inputs, outputs=outputs)
    assert path.stat().st_size == 10
    other.write_bytes(X.tobytes())
    np.testing.assert_array_equal(
        client.infer("identity", [_shared("x", "other")]).as_numpy("y"), X
    )


def test_rewriting_spoils_no_other_clients_answer(
    client: triton.InferenceServerClient, shm: Shm
) -> None:
    """One client keeps rewriting the region it computes from; another sends bytes that are
    sometimes equal to it, and always gets its own answer."""
    path = shm(64)
    client.register_system_shared_memory("r", path.name, 64)
    stop = threading.Event()
    values = [np.full((1, 16), value, np.float32) for value in (1, 2)]

    def rewrite() -> None:
        with path.open("r+b", buffering=0) as region:
            i = 0
            while not stop.is_set():
                os.pwrite(region.fileno(), values[i % 2].tobytes(), 0)
                i += 1

    answered: list[Any] = []

    def keep(result: Any, error: Any) -> None:
        answered.append(error or result)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for i in range(100):
            client.async_infer("identity", [_shared("x", "r")], keep)
            mine = values[i % 2]
            got = client.infer("identity", [tensor("x", mine)]).as_numpy("y")
            np.testing.assert_array_equal(got, mine)
        wait_for(lambda: len(answered) == 100, "the answers that may be spoilt")
    finally:
        stop.set()
        writer.join()
    assert not [each for each in answered if isinstance(each, Exception)]


def test_a_region_unregistered_in_flight(client: triton.InferenceServerClient, shm: Shm) -> None:
    size = math.prod(networks.SLOW_SHAPE) * 4
    path = shm(size)
    client.register_system_shared_memory("r", path.name, size)
    outputs = [triton.InferRequestedOutput("t40")]
    outputs[0].set_shared_memory("r", size)
    done: list[Any] = []
    finished = threading.Event()

    def keep(result: Any, error: Any) -> None:
        done.append((result, error))
        finished.set()

    x = np.ones(networks.SLOW_SHAPE, np.float32)
    client.async_infer("slow", [tensor("t0", x)], keep, outputs=outputs)
    client.unregister_system_shared_memory("r")
    assert finished.wait(60)
    assert done[0][1] is None or "Unable to find" in str(done[0][1])
