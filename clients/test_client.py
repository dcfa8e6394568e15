"""Both clients against a small server of the same services, without an engine."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from coexec.clients import (
    ArgumentError,
    AsyncClient,
    Client,
    CoexecError,
    DeadlineError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    ServerError,
    UnavailableError,
)
from coexec.clients.conftest import LARGE, Fake


def _ramp(count: int = LARGE) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(count, dtype=np.float32)


async def _frames() -> AsyncIterator[np.ndarray[Any, np.dtype[np.float32]]]:
    for k in range(3):
        yield _ramp() * k


def test_small_tensors_go_in_the_message(fake: Fake) -> None:
    daemon, address = fake
    daemon.output_shape = [3]
    with Client(address) as client:
        result = client.infer(
            "double", {"x": _ramp(3)}, outputs=["y"], deadline_us=900, priority=1, request_id="a"
        )
    np.testing.assert_array_equal(result["y"], _ramp(3) * 2)
    assert (result.transport, result.model, result.version, result.id) == (
        *("message", "double", "1", "a"),
    )
    assert repr(result) == "<Result of double/1 by message: y: float32[3]>"
    with pytest.raises(KeyError, match="double has no output 'q'; it has y"):
        result["q"]
    sent = daemon.requests[-1]
    assert sent.parameters["timeout"].int64_param == 900
    assert sent.parameters["priority"].uint64_param == 1
    assert "register" not in daemon.calls


def test_large_tensors_go_through_one_region_that_is_used_again(fake: Fake) -> None:
    daemon, address = fake
    client = Client(address)
    for scale in range(1, 4):
        result = client.infer("double", _ramp() * scale)
        np.testing.assert_array_equal(result["y"], _ramp() * scale * 2)
        assert result.transport == "shared_memory"
        assert not daemon.requests[-1].raw_input_contents
    assert daemon.calls.count("register") == 1
    (name,) = daemon.regions
    assert not (Path("/dev/shm") / name).exists()  # only those who have it open can see it
    client.close()
    assert daemon.regions == {}
    client.close()


def test_a_large_output_of_unknown_size_comes_in_the_message(fake: Fake) -> None:
    daemon, address = fake
    daemon.output_shape = [-1]
    with Client(address) as client:
        result = client.infer("double", _ramp())
        assert result.transport == "shared_memory"  # the input did
        assert not daemon.requests[-1].outputs
        np.testing.assert_array_equal(result["y"], _ramp() * 2)


def test_strided_input_crosses_whole(fake: Fake) -> None:
    with Client(fake[1]) as client:
        x = np.arange(2 * LARGE, dtype=np.float32).reshape(2, -1).T[:, 1]
        np.testing.assert_array_equal(client.infer("double", {"x": x})["y"], x * 2)


@pytest.mark.parametrize("how", ["refused", "lost", "too small", "off"])
def test_without_regions_the_message_carries_everything(fake: Fake, how: str) -> None:
    daemon, address = fake
    daemon.grants_regions = how != "refused"
    daemon.lose_regions = how == "lost"
    with Client(address, shared_memory=how != "off") as client:
        if how == "too small":  # the model was replaced by one with a larger output
            client.infer("double", _ramp())
        x = _ramp(LARGE * 2)
        for _ in range(2):
            result = client.infer("double", {"x": x})
            np.testing.assert_array_equal(result["y"], x * 2)
            assert result.transport == "message"
        if how == "refused":
            assert daemon.calls.count("register") == 1
    assert daemon.regions == {}


def test_a_region_lost_between_two_calls_of_many_sends_all_again(fake: Fake) -> None:
    daemon, address = fake
    with Client(address) as client:
        for transport, lose, calls in (
            ("shared_memory", False, 1),
            ("message", True, 2),
            ("shared_memory", False, 1),
        ):
            daemon.lose_regions = lose
            daemon.calls.clear()
            results = client.infer_many(["double", "twice"], {"x": _ramp()})
            assert list(results) == ["double", "twice"]
            for result in results.values():
                assert not isinstance(result, CoexecError)
                assert result.transport == transport
                np.testing.assert_array_equal(result["y"], _ramp() * 2)
            assert daemon.calls.count("infer_many") == calls
        assert len(daemon.regions_seen) == 2


def test_infer_many_answers_by_model(fake: Fake) -> None:
    daemon, address = fake
    with Client(address) as client:
        results = client.infer_many(["double", "absent", ("double", "2")], _ramp())
        with pytest.raises(ValueError, match="at least one model"):
            client.infer_many([], _ramp())
    assert list(results) == ["double", "absent", "double/2"]
    for label in ("double", "double/2"):
        result = results[label]
        assert not isinstance(result, CoexecError)
        assert result.transport == "shared_memory"
        np.testing.assert_array_equal(result["y"], _ramp() * 2)
    assert isinstance(results["absent"], NotFoundError)
    slots = [
        model.outputs[0].parameters["shared_memory_offset"].int64_param
        for model in daemon.requests[-1].models
        if model.outputs
    ]
    assert len(set(slots)) == 2


@pytest.mark.parametrize(
    ("wrong", "kind", "calls"),
    [
        ("absent", NotFoundError, 1),
        ("picky", InvalidInputError, 2),  # its outputs may be others now: once more, by message
    ],
)
def test_one_wrong_model_in_many_is_no_matter_to_the_others(
    fake: Fake, wrong: str, kind: type[CoexecError], calls: int
) -> None:
    daemon, address = fake
    with Client(address) as client:
        for _ in range(2):
            daemon.calls.clear()
            results = client.infer_many([wrong, "double", "twice"], _ramp())
            assert list(results) == [wrong, "double", "twice"]
            assert isinstance(results[wrong], kind)
            for label in ("double", "twice"):
                result = results[label]
                assert not isinstance(result, CoexecError)
                assert result.transport == "shared_memory"
                np.testing.assert_array_equal(result["y"], _ramp() * 2)
            assert daemon.calls.count("infer_many") == calls
        assert len(daemon.regions_seen) == 1


def test_a_wrong_output_is_not_asked_for_twice(fake: Fake) -> None:
    daemon, address = fake
    with Client(address) as client:
        results = client.infer_many(["double"], _ramp(), outputs=["q"])
        assert isinstance(results["double"], InvalidInputError)
        assert daemon.calls.count("infer_many") == 1


def test_threads_never_share_a_region(fake: Fake) -> None:
    daemon, address = fake
    wrong: list[int] = []
    with Client(address) as client:

        def work(number: int) -> None:
            x = np.full(LARGE, number, np.float32)
            for _ in range(10):
                if not (client.infer("double", x)["y"] == 2 * number).all():
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert 1 <= len(daemon.regions) <= 4
    assert daemon.regions == {}


def test_stream_yields_answers_and_errors_in_turn(fake: Fake) -> None:
    daemon, address = fake
    with Client(address) as client:
        answers = list(client.stream("double", [_ramp() * k for k in range(4)]))
        assert isinstance(answers[1], CoexecError)
        assert answers[1].request_id == "1"
        assert "newer frame" in answers[1].details
        for k in (0, 2, 3):
            answer = answers[k]
            assert not isinstance(answer, CoexecError)
            assert (answer.id, answer.transport) == (str(k), "shared_memory")
            np.testing.assert_array_equal(answer["y"], _ramp() * 2 * k)
        with pytest.raises(ValueError, match="pair takes x, z"):
            list(client.stream("pair", [_ramp()]))
    assert daemon.regions == {}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.DATA_LOSS, CoexecError),
    ],
)
def test_errors_say_what_the_daemon_said(
    fake: Fake, code: grpc.StatusCode, kind: type[CoexecError]
) -> None:
    daemon, address = fake
    daemon.fail_with = (code, "because")
    with Client(address) as client:
        for x in (_ramp(2), _ramp()):
            with pytest.raises(kind, match="because") as caught:
                client.infer("double", x)
            assert type(caught.value) is kind
            assert caught.value.code is code
        daemon.fail_with = None
        np.testing.assert_array_equal(client.infer("double", _ramp())["y"], _ramp() * 2)


def test_unknown_models_odd_answers_and_absent_daemons(fake: Fake, tmp_path: Path) -> None:
    with Client(fake[1]) as client:
        for inputs in ({"x": _ramp(2)}, _ramp(2)):
            with pytest.raises(NotFoundError, match="'absent' is not known"):
                client.infer("absent", inputs)
        with pytest.raises(ServerError, match="0 outputs but 1 contents"):
            client.infer("odd", {"x": _ramp(2)})
        with pytest.raises(ValueError, match="pair takes x, z: give a mapping"):
            client.infer("pair", _ramp(2))
    with Client("127.0.0.1:1") as client:
        nobody = r"^no daemon answers at 127.0.0.1:1 \(Connection refused\); start one with"
        with pytest.raises(UnavailableError, match=nobody):
            client.metadata("double")
    with Client(f"unix:{tmp_path}/nobody.sock") as client:
        assert not client.live()
        with pytest.raises(
            UnavailableError, match=r"nobody.sock \(No such file or directory\); start one with"
        ):
            client.infer("double", {"x": _ramp()})


def test_a_timeout_is_the_callers(fake: Fake) -> None:
    fake[0].hold.clear()
    with (
        Client(fake[1]) as client,
        pytest.raises(DeadlineError, match="timeout_s passed before the daemon answered"),
    ):
        client.infer("double", {"x": _ramp(2)}, timeout_s=0.01)
    fake[0].hold.set()


def test_a_stream_of_what_is_no_stream(fake: Fake) -> None:
    with Client(fake[1]) as client:
        wrong: Any
        for wrong in ({"x": _ramp()}, 5, "frames", b"frames"):
            with pytest.raises(ArgumentError, match="it must be an iterable of inputs"):
                next(client.stream("double", wrong))
        wrong = _frames()
        with pytest.raises(ArgumentError, match="async_generator, which is for AsyncClient"):
            next(client.stream("double", wrong))


async def test_an_asynchronous_stream_takes_a_list(fake: Fake) -> None:
    async with AsyncClient(fake[1]) as client:
        answers = [a async for a in client.stream("double", [_ramp() * k for k in range(3)])]
        assert isinstance(answers[1], CoexecError)
        assert not isinstance(answers[2], CoexecError)
        np.testing.assert_array_equal(answers[2]["y"], _ramp() * 4)
        wrong: Any = {"x": _ramp()}
        with pytest.raises(ArgumentError, match="it must be an iterable of inputs"):
            await anext(client.stream("double", wrong))


def test_the_daemon_and_its_models(fake: Fake) -> None:
    daemon, address = fake
    with Client(address) as client:
        assert client.live()
        assert client.ready()
        assert client.ready("double")
        assert not client.ready("absent")
        (model,) = client.models()
        assert (model.name, model.version, model.state) == ("double", "1", "READY")
        assert client.metadata("double").inputs[0].shape == (-1,)
        assert client.metadata("double").outputs[0].byte_size == LARGE * 4
        assert client.config("double").name == "double"
        assert client.statistics("double")[0].inference_count == 3
        client.load("new", files={"1/model.onnx": b"bytes"})
        assert daemon.requests[-1].parameters["config"].string_param == "{}"
        assert daemon.requests[-1].parameters["file:1/model.onnx"].bytes_param == b"bytes"
        client.unload("new")
        assert daemon.requests[-1].model_name == "new"
        assert client.reuse_report().bytes_saved == 2_500_000
        assert client.plan().segments[0].lane_kind == "cpu"
        assert client.timeline(0.5).spans[0].duration_us == 500_000
        snapshots = client.watch_statistics(0.25)
        assert [next(snapshots).time_ms, next(snapshots).time_ms] == [250, 251]
        with pytest.raises(OverloadedError, match="too many watchers"):
            next(snapshots)


async def test_asyncio_infers_alone_many_and_streams(fake: Fake) -> None:
    daemon, address = fake
    async with AsyncClient(address) as client:
        assert await client.live()
        assert await client.ready()
        assert await client.ready("double")
        result = await client.infer("double", _ramp())
        assert result.transport == "shared_memory"
        np.testing.assert_array_equal(result["y"], _ramp() * 2)
        many = await client.infer_many(["absent", "double", "picky"], _ramp())
        assert isinstance(many["absent"], NotFoundError)
        assert isinstance(many["picky"], InvalidInputError)
        assert not isinstance(many["double"], CoexecError)
        assert many["double"].transport == "shared_memory"
        answers = [answer async for answer in client.stream("double", _frames())]
        assert isinstance(answers[1], CoexecError)
        assert not isinstance(answers[2], CoexecError)
        np.testing.assert_array_equal(answers[2]["y"], _ramp() * 4)
        assert [model.name for model in await client.models()] == ["double"]
        assert (await client.config("double")).name == "double"
        assert (await client.statistics("double"))[0].inference_count == 3
        await client.load("new")
        await client.unload("new")
        assert (await client.reuse_report()).bytes_saved == 2_500_000
        assert (await client.plan()).segments[0].lane_kind == "cpu"
        assert (await client.timeline(0.5)).spans[0].duration_us == 500_000
        snapshots = client.watch_statistics(0.1)
        assert (await anext(snapshots)).time_ms == 100
        await snapshots.aclose()  # type: ignore[attr-defined]
        daemon.fail_with = (grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
        with pytest.raises(DeadlineError, match="too late"):
            await client.infer("double", _ramp())
        daemon.fail_with = None
        daemon.lose_regions = True
        assert (await client.infer("double", _ramp())).transport == "message"
    assert daemon.regions == {}


async def test_asyncio_without_regions_or_daemon(fake: Fake, tmp_path: Path) -> None:
    daemon, address = fake
    daemon.grants_regions = False
    async with AsyncClient(address) as client:
        assert (await client.infer("double", _ramp())).transport == "message"
    async with AsyncClient(f"unix:{tmp_path}/nobody.sock") as client:
        assert not await client.live()
        with pytest.raises(UnavailableError, match="no daemon answers"):
            await client.infer("double", _ramp())
