"""coexec.clients against a real daemon."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from coexec.clients import (
    AsyncClient,
    Client,
    CoexecError,
    DeadlineError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)

from . import networks
from .conftest import Daemon, running

Array = np.ndarray[Any, Any]


def _random(*shape: int) -> Array:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


@pytest.fixture
def ours(daemon: Daemon) -> Iterator[Client]:
    with Client(daemon.address) as client:
        yield client


@pytest.mark.parametrize(
    ("model", "x"),
    [
        ("identity", _random(1, 16)),
        ("int64", np.array([1, -2, 3, 2**60])),
        ("bool", np.array([True, False, True, True])),
        ("uint8", np.arange(4, dtype=np.uint8)),
        ("fp16", np.array([1.5, -2, 0, 4], np.float16)),
        ("bf16", np.array([1.5, -2, 0, 4], ml_dtypes.bfloat16)),
        ("strings", np.array([b"a", b"", b"bc", "\u00e4".encode()], object)),
    ],
)
def test_every_kind_of_tensor_comes_back(ours: Client, model: str, x: Array) -> None:
    result = ours.infer(model, x, request_id="seven")
    assert result["y"].dtype == x.dtype
    np.testing.assert_array_equal(result["y"], x)
    assert (result.model, result.version, result.id) == (model, "1", "seven")
    assert result.transport == "message"


def test_large_tensors_take_shared_memory_and_equal_the_message(
    daemon: Daemon, ours: Client
) -> None:
    x = _random(*networks.SLOW_SHAPE)
    for _ in range(3):
        shared = ours.infer("slow", x)
        assert shared.transport == "shared_memory"
    with Client(daemon.address, shared_memory=False) as plain:
        message = plain.infer("slow", x)
    assert message.transport == "message"
    np.testing.assert_array_equal(shared["t40"], message["t40"])
    expected = np.maximum(x.mean(axis=1, keepdims=True), 0)
    np.testing.assert_allclose(
        shared["t40"], np.broadcast_to(expected, x.shape), rtol=1e-3, atol=1e-5
    )


def test_a_large_output_of_any_shape(ours: Client) -> None:
    x = _random(300, 500)
    for _ in range(2):
        result = ours.infer("any_shape", {"x": x})
        assert result.transport == "shared_memory"
        np.testing.assert_array_equal(result["y"], x)


def test_regions_are_gone_when_the_client_is(daemon: Daemon) -> None:
    with daemon.client() as triton:
        before = set(triton.get_system_shared_memory_status().regions)
        client = Client(daemon.address)
        client.infer("any_shape", _random(200, 200))
        (name,) = set(triton.get_system_shared_memory_status().regions) - before
        assert not (Path("/dev/shm") / name).exists()
        client.close()
        assert set(triton.get_system_shared_memory_status().regions) == before


def test_nothing_is_left_of_a_client_that_was_killed(daemon: Daemon) -> None:
    program = (
        "import sys, numpy, coexec.clients\n"
        "client = coexec.clients.Client(sys.argv[1])\n"
        "client.infer('any_shape', numpy.zeros((200, 200), numpy.float32))\n"
        "print('done', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with daemon.client() as triton:
        before = set(triton.get_system_shared_memory_status().regions)
        command = [sys.executable, "-c", program, daemon.address]
        with subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"done\n"
            assert len(set(triton.get_system_shared_memory_status().regions) - before) == 1
            process.kill()
        assert set(triton.get_system_shared_memory_status().regions) == before


def test_regions_unregistered_by_another_are_no_harm(daemon: Daemon, ours: Client) -> None:
    x = _random(300, 300)
    ours.infer("any_shape", x)
    with daemon.client() as triton:
        triton.unregister_system_shared_memory()
    for transport in ("message", "shared_memory"):
        result = ours.infer("any_shape", x)
        np.testing.assert_array_equal(result["y"], x)
        assert result.transport == transport


def test_threads_get_their_own_answers(ours: Client) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        x = np.full((150, 150), number, np.float32)
        for _ in range(20):
            if not (ours.infer("any_shape", x)["y"] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_several_models_on_one_input(ours: Client) -> None:
    x = _random(2, 8)
    results = ours.infer_many(["mlp", "batched", ("versions", "2"), "nobody"], {"x": x})
    assert list(results) == ["mlp", "batched", "versions/2", "nobody"]
    assert isinstance(results["nobody"], NotFoundError)
    alone = ours.infer("mlp", {"x": x})["y"]
    np.testing.assert_allclose(alone, networks.mlp_answer(x), rtol=1e-4, atol=1e-5)
    for label in ("mlp", "batched"):
        result = results[label]
        assert not isinstance(result, CoexecError)
        np.testing.assert_array_equal(result["y"], alone)


def test_several_models_on_one_large_input(ours: Client) -> None:
    x = _random(300, 300)
    models = [("slow", "no version"), "nobody", "any_shape", "slow"]
    results = ours.infer_many(models, {"x": x, "t0": _random(*networks.SLOW_SHAPE)})
    assert isinstance(results.pop("slow/no version"), InvalidInputError)
    assert isinstance(results.pop("nobody"), NotFoundError)
    for result in results.values():
        assert not isinstance(result, CoexecError), result
        assert result.transport == "shared_memory"
    np.testing.assert_array_equal(results["any_shape"]["y"], x)  # type: ignore[index]


def test_regions_of_a_daemon_killed_since(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("one", "two"):
        networks.identity(networks.place(models, name), shape=["rows", "columns"])
    x = _random(300, 300)
    daemon = Daemon(tmp_path / "d", models=models).start()
    try:
        with Client(daemon.address) as client:
            for transport, restart in (
                ("shared_memory", False),
                ("message", True),
                ("shared_memory", False),
            ):
                if restart:
                    daemon.process.kill()
                    daemon.process.wait()
                    daemon.start()
                for result in client.infer_many(["one", "two"], {"x": x}).values():
                    assert not isinstance(result, CoexecError)
                    assert result.transport == transport
                    np.testing.assert_array_equal(result["y"], x)
    finally:
        daemon.stop()


def test_a_stream_with_a_mistake_in_it(ours: Client) -> None:
    inputs = [_random(200, 200) * k for k in range(6)]
    inputs[3] = np.zeros(3, np.float32)
    answers = list(ours.stream("any_shape", inputs))
    assert len(answers) == 6
    assert isinstance(answers[3], InvalidInputError)
    assert answers[3].request_id == "3"
    for k in (0, 1, 2, 4, 5):
        answer = answers[k]
        assert not isinstance(answer, CoexecError)
        np.testing.assert_array_equal(answer["y"], inputs[k])


def test_errors_of_a_stream_have_their_kinds(ours: Client) -> None:
    (late,) = ours.stream("slow", [_random(*networks.SLOW_SHAPE)], deadline_us=10)
    assert isinstance(late, DeadlineError)
    assert late.details.startswith("model 'slow': it needs about")
    assert late.details.count("slow") == 1
    (unknown,) = ours.stream("nobody", [{"x": _random(1)}])
    assert isinstance(unknown, NotFoundError)


def test_mistakes_have_their_kinds(ours: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        ours.infer("nobody", {"x": _random(1)})
    with pytest.raises(InvalidInputError):
        ours.infer("identity", {"x": _random(1, 17)})
    with pytest.raises(InvalidInputError):
        ours.infer("identity", {"x": np.zeros((1, 16))})
    with pytest.raises(InvalidInputError):
        ours.infer("any_shape", {"x": np.zeros((300, 300))})
    with pytest.raises(ValueError, match="two_inputs takes a, b"):
        ours.infer("two_inputs", _random(1))
    with pytest.raises(DeadlineError, match=r"^model 'slow': it needs about"):
        ours.infer("slow", _random(*networks.SLOW_SHAPE), deadline_us=10)
    with Client(f"unix:{tmp_path}/nobody.sock") as nobody:
        assert not nobody.live()
        with pytest.raises(UnavailableError, match="coexec serve"):
            nobody.models()


def test_what_there_is(ours: Client) -> None:
    assert ours.live()
    assert ours.ready()
    assert ours.ready("mlp")
    assert not ours.ready("nobody")
    states = {(model.name, model.version): model.state for model in ours.models()}
    assert states["versions", "1"] == states["versions", "2"] == "READY"
    metadata = ours.metadata("add")
    assert [info.name for info in metadata.inputs] == ["a", "b"]
    assert metadata.outputs[0].shape == (1, 16)
    assert metadata.outputs[0].byte_size == 64
    assert ours.metadata("any_shape").inputs[0].byte_size is None
    assert ours.config("batched").max_batch_size == 4


def test_what_it_does(ours: Client) -> None:
    (before,) = ours.statistics("identity")
    ours.infer("identity", _random(1, 16))
    (after,) = ours.statistics("identity")
    assert after.inference_count == before.inference_count + 1
    snapshot = next(ours.watch_statistics(0.1))
    (row,) = (program for program in snapshot.engine.programs if program.model == "identity")
    assert list(row.inputs) == ["x f32[1, 16]"]
    assert snapshot.engine.lanes
    assert ours.plan().segments
    ours.infer("slow", _random(*networks.SLOW_SHAPE))
    spans = ours.timeline(10.0).spans
    assert any("slow" in span.model for span in spans)
    assert ours.reuse_report().bytes_saved >= 0


def test_load_from_bytes_and_unload(tmp_path: Path) -> None:
    models = tmp_path / "models"
    networks.mlp(networks.place(models, "first"))
    network = networks.identity(tmp_path / "sent.onnx", shape=[2, 3]).read_bytes()
    with running(tmp_path / "d", models=models) as daemon, Client(daemon.address) as client:
        client.load("sent", files={"1/model.onnx": network})
        x = _random(2, 3)
        np.testing.assert_array_equal(client.infer("sent", x)["y"], x)
        client.unload("sent")
        with pytest.raises(CoexecError):
            client.infer("sent", {"x": x})
        assert client.ready("first")


async def test_the_same_for_asyncio(daemon: Daemon) -> None:
    x = _random(300, 300)

    async def frames() -> AsyncIterator[Array]:
        for k in range(3):
            yield x * k

    async with AsyncClient(daemon.address) as client:
        result = await client.infer("any_shape", x)
        assert result.transport == "shared_memory"
        np.testing.assert_array_equal(result["y"], x)
        many = await client.infer_many(["mlp", "nobody"], {"x": _random(2, 8)})
        assert isinstance(many["nobody"], NotFoundError)
        answers = [answer async for answer in client.stream("any_shape", frames())]
        for k, answer in enumerate(answers):
            assert not isinstance(answer, CoexecError)
            np.testing.assert_array_equal(answer["y"], x * k)
        snapshot = await anext(client.watch_statistics(0.1))
        assert snapshot.engine.lanes
        assert (await client.plan()).segments
        assert await client.ready("mlp")
