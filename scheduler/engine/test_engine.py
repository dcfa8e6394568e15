"""The engine process from end to end, on small models."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from coexec.protos import engine_pb2
from coexec.scheduler import _core
from coexec.scheduler.engine.client import (
    EngineError,
    EngineGoneError,
    EngineOptions,
    EngineProcess,
)
from coexec.scheduler.engine.test_support import (
    Daemon,
    ModelBuilder,
    floats,
    random_weight,
    running,
    save_family_member,
)

Array = npt.NDArray[Any]


def _input(seed: int = 0, size: int = 64, rows: int = 4) -> Array:
    data: Array = np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32)
    return data


async def _load_family(daemon: Daemon, folder: Path, heads: int = 2, **shape: int) -> None:
    for head in range(1, heads + 1):
        path = save_family_member(folder, f"head{head}", head=head, **shape)
        await daemon.engine.load(head, path, model=f"head{head}", version="1")


async def test_a_request_is_computed(tmp_path: Path) -> None:
    builder = ModelBuilder("toy")
    x = builder.input([2, 3])
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = builder.save(tmp_path, [builder.gemm(x, weight)])
    async with running() as daemon:
        await daemon.engine.load(1, path, model="toy", version="1")
        data = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
        np.testing.assert_array_equal(floats(await daemon.infer(1, data)), data @ weight.T)
        snapshot = await daemon.engine.snapshot()
        assert snapshot.programs[0].requests == 1
        assert sum(lane.segments_run for lane in snapshot.lanes) == 1
        spans = (await daemon.engine.timeline()).spans
        assert [(span.name, span.model, span.shared_by) for span in spans] == [("gemm0", "toy", 1)]


async def test_one_input_for_two_heads_computes_the_backbone_once(tmp_path: Path) -> None:
    # One lane kept busy, so that the second request comes before the first is done.
    async with running(EngineOptions(lanes=[[0]])) as daemon:
        await _load_family(daemon, tmp_path, size=256, rows=256)
        busy = daemon.submit(1, [daemon.put(_input(9, 256, 256))])[1]
        shared = daemon.put(_input(1, 256, 256))
        replies = await asyncio.gather(*(daemon.submit(i, [shared])[1] for i in (1, 2)))
        await busy
        assert sum(reply.shared_jobs for reply in replies) == 1
        assert sum(reply.saved_us for reply in replies) > 0
        report = await daemon.engine.reuse()
        backbone = next(one for one in report.segments if len(one.users) == 2)
        assert list(backbone.users) == ["head1/1", "head2/1"]
        assert (backbone.layers, backbone.runs, backbone.hits) == (6, 2, 1)
        assert len(report.tensors) == 3
        assert report.bytes_saved == 3 * 256 * 256 * 4
        snapshot = await daemon.engine.snapshot()
        assert snapshot.weight_bytes == 5 * 256 * 256 * 4
        assert snapshot.weight_bytes_alone == 8 * 256 * 256 * 4
        plan = await daemon.engine.plan()
        assert sorted(len(segment.layers) for segment in plan.segments) == [1, 1, 6]


async def test_progress_says_which_step_a_lane_is_at(tmp_path: Path) -> None:
    async with running(EngineOptions(lanes=[[0]])) as daemon:
        await _load_family(daemon, tmp_path, heads=1, size=512, rows=512)
        assert not (await daemon.engine.progress()).lanes
        flights = [daemon.submit(1, [daemon.put(_input(i, 512, 512))])[1] for i in range(20)]
        seen: list[engine_pb2.LaneProgress] = []
        while not all(flight.done() for flight in flights):
            seen += (await daemon.engine.progress()).lanes
        assert {(at.lane, at.model, *at.programs) for at in seen} == {("cpu0", "head1", 1)}
        assert len({at.step for at in seen}) > 1
        assert all(at.step[:4] in ("gemm", "relu") and at.expected_us > 0 for at in seen)
        assert (await daemon.engine.progress()).steps_run == 20 * 7


async def test_equal_bytes_meet_and_other_scopes_do_not(tmp_path: Path) -> None:
    # One lane kept busy, so that what comes later is still in flight together.
    async with running(EngineOptions(lanes=[[0]])) as daemon:
        await _load_family(daemon, tmp_path, size=256, rows=256)
        data = _input(1, 256, 256)
        busy = [daemon.submit(1, [daemon.put(_input(9, 256, 256))])[1] for _ in range(1)]
        same = [daemon.submit(i, [daemon.put(data)])[1] for i in (1, 2, 1)]
        other = daemon.submit(2, [daemon.put(data)], scope=7)[1]
        replies = await asyncio.gather(*same)
        assert [reply.shared_jobs for reply in replies] == [0, 1, 2]
        assert (await other).shared_jobs == 0
        np.testing.assert_array_equal(floats(replies[0]), floats(replies[2]))
        np.testing.assert_array_equal(floats(replies[1]), floats(await other))
        await asyncio.gather(*busy)


@pytest.mark.parametrize(
    "options",
    [
        EngineOptions(reuse=False),
        EngineOptions(lanes=[[0]]),
        EngineOptions(lanes=[[0]], quantum_us=1),  # gives way at every step
        EngineOptions(lanes=[[0], [0]], quantum_us=50),
    ],
    ids=["no-reuse", "one-lane", "preempted", "two-lanes"],
)
async def test_bits_do_not_depend_on_how_it_ran(tmp_path: Path, options: EngineOptions) -> None:
    inputs = [_input(seed, 96, 64) for seed in (1, 2, 1, 3, 2)]
    async with running(EngineOptions(lanes=[[0], [1 % len(_cores())]])) as daemon:
        await _load_family(daemon, tmp_path / "plain", size=96, rows=64)
        plain = [floats(await daemon.infer(1 + i % 2, data)) for i, data in enumerate(inputs)]
    async with running(options) as daemon:
        await _load_family(daemon, tmp_path / "again", size=96, rows=64)
        far = _core.now_us() + 60_000_000
        flights = [
            # Later ones are more urgent, so that earlier ones have to give way.
            daemon.submit(1 + i % 2, [daemon.put(data)], deadline_us=far - i * 5_000_000)[1]
            for i, data in enumerate(inputs)
        ]
        replies = await asyncio.gather(*flights)
        for reply, expected in zip(replies, plain, strict=True):
            np.testing.assert_array_equal(floats(reply), expected)
        if not options.reuse:
            assert sum(reply.shared_jobs for reply in replies) == 0


def _cores() -> list[int]:
    from coexec.kernels._kernels import available_cores

    return available_cores()


async def test_onnx_runtime_layers_run_between_native_ones(tmp_path: Path) -> None:
    builder = ModelBuilder("mixed")
    x = builder.input([4, 64])
    x = builder.gemm(x, random_weight(1, 64))
    x = builder.onnx(x, "Sin")
    x = builder.gemm(x, random_weight(2, 64))
    path = builder.save(tmp_path, [x])
    async with running() as daemon:
        await daemon.engine.load(1, path, model="mixed", version="1")
        data = _input()
        expected = np.sin(data @ random_weight(1, 64).T) @ random_weight(2, 64).T
        np.testing.assert_allclose(floats(await daemon.infer(1, data)), expected, atol=1e-5)
        kinds = [segment.lane_kind for segment in (await daemon.engine.plan()).segments]
        assert sorted(kinds) == ["cpu", "cpu", "onnxruntime"]


async def test_a_failing_layer_fails_its_request_only(tmp_path: Path) -> None:
    builder = ModelBuilder("shaky")
    x = builder.input([4, 64])
    path = builder.save(tmp_path, [builder.onnx(x, "Det")])  # no square matrix: it fails
    good = save_family_member(tmp_path, "good", head=1)
    async with running() as daemon:
        with pytest.raises(EngineError, match="ONNX Runtime refuses it"):
            await daemon.engine.load(1, path, model="shaky", version="1")
        await daemon.engine.load(2, good, model="good", version="1")
        assert (await daemon.infer(2, _input())).code == 0


async def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    async with running() as daemon:
        await _load_family(daemon, tmp_path, 1)
        unknown = await daemon.infer(77, _input())
        assert (unknown.code, unknown.message) == (5, "program 77 is not loaded in the engine")
        wrong = await daemon.infer(1, _input(rows=3))
        assert wrong.code == 3
        assert "input 0 takes f32[4, 64], f32[3, 64] was given" in wrong.message
        none = await daemon.infer(1)
        assert (none.code, "takes 1 inputs, 0 were given" in none.message) == (3, True)
        with pytest.raises(EngineError, match="loaded already"):
            await daemon.engine.load(1, str(tmp_path / "head1.coexec"), model="a", version="1")
        with pytest.raises(EngineError, match="not a compiled model"):
            await daemon.engine.load(2, str(tmp_path / "none"), model="a", version="1")
        with pytest.raises(EngineError, match="program 9 is not loaded"):
            await daemon.engine.unload(9)


async def test_deadlines(tmp_path: Path) -> None:
    async with running(EngineOptions(lanes=[[0]])) as daemon:
        builder = ModelBuilder("slow")
        x = builder.input([4, 64])
        path = builder.save(tmp_path, [builder.gemm(x, random_weight(1, 64), measured_us=50_000)])
        await daemon.engine.load(1, path, model="slow", version="1")
        now_us = _core.now_us()
        refused = await daemon.infer(1, _input(), deadline_us=now_us + 5000)
        assert refused.code == 4
        assert "it needs about 50 ms, " in refused.message
        assert refused.message.endswith(" ms are left")
        late = await daemon.infer(1, _input(), deadline_us=now_us - 1)
        assert late.code == 4
        met = await daemon.infer(1, _input(), deadline_us=now_us + 30_000_000)
        assert met.code == 0
        program = (await daemon.engine.snapshot()).programs[0]
        assert (program.refused, program.deadlines, program.deadlines_missed) == (2, 1, 0)


async def test_a_cancelled_request_and_a_full_queue(tmp_path: Path) -> None:
    async with running(EngineOptions(lanes=[[0]], reuse=False, queue_len_max=3)) as daemon:
        await _load_family(daemon, tmp_path, 1, size=512, rows=512)
        shared = daemon.put(_input(0, 512, 512))
        flights = [daemon.submit(1, [shared]) for _ in range(8)]
        daemon.channel.cancel(flights[1][0])
        replies = await asyncio.gather(*(flight for _, flight in flights))
        codes = [reply.code for reply in replies]
        assert codes[0] == 0
        assert set(codes) <= {0, 1, 8}
        assert codes.count(8) >= 3
        full = next(reply for reply in replies if reply.code == 8)
        assert full.message == "3 requests wait already, the most its queue takes"


async def test_reply_memory_that_is_held_runs_out_and_comes_back(tmp_path: Path) -> None:
    channel = _core.Channel(1 << 22, 1 << 14, 1 << 16)
    daemon = Daemon(channel, await EngineProcess.start(channel))
    try:
        await _load_family(daemon, tmp_path, 1, size=64, rows=32)
        held = [await daemon.infer(1, _input(seed, 64, 32)) for seed in range(3)]
        assert [reply.code for reply in held] == [0, 0, 8]
        assert "reply memory is full" in held[2].message
        del held
        assert (await daemon.infer(1, _input(5, 64, 32))).code == 0
    finally:
        await daemon.close()


async def test_plans_change_under_load(tmp_path: Path) -> None:
    async with running() as daemon:
        await _load_family(daemon, tmp_path, 1)
        expected = floats(await daemon.infer(1, _input()))
        second = save_family_member(tmp_path, "second", head=2)
        stop = asyncio.Event()

        async def keep_asking() -> int:
            count = 0
            while not stop.is_set():
                np.testing.assert_array_equal(floats(await daemon.infer(1, _input())), expected)
                count += 1
            return count

        asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
        for _ in range(5):
            await daemon.engine.load(2, second, model="second", version="1")
            assert (await daemon.infer(2, _input())).code == 0
            await daemon.engine.unload(2)
            assert (await daemon.infer(2, _input())).code == 5
        stop.set()
        assert min(await asyncio.gather(*asking)) > 0
        snapshot = await daemon.engine.snapshot()
        assert snapshot.weight_bytes == snapshot.weight_bytes_alone == 4 * 64 * 64 * 4


async def test_a_killed_engine_leaves_a_channel_that_a_new_one_can_use(tmp_path: Path) -> None:
    channel = _core.Channel(1 << 22, 1 << 22, 1 << 16)
    path = save_family_member(tmp_path, "one", head=1)
    daemon = Daemon(channel, await EngineProcess.start(channel))
    await daemon.engine.load(1, path, model="one", version="1")
    before = await daemon.infer(1, _input())
    kept = before.outputs[0].array
    data = daemon.put(_input())
    daemon.submit(1, [data])
    daemon.engine.kill()
    assert await daemon.engine.wait() == -signal.SIGKILL
    with pytest.raises(EngineGoneError):
        await daemon.engine.snapshot()
    asyncio.get_running_loop().remove_reader(channel.fileno())
    channel.reset()
    again = Daemon(channel, await EngineProcess.start(channel))
    try:
        await again.engine.load(1, path, model="one", version="1")
        reply = await again.submit(1, [data])[1]
        np.testing.assert_array_equal(floats(reply), kept.view(np.float32).reshape(4, 64))
    finally:
        await again.close()


async def test_asking_an_engine_that_has_just_died() -> None:
    engine = await EngineProcess.start(_core.Channel(1 << 20, 1 << 20, 1 << 16))
    engine.kill()
    # Its end is there to be seen, but asyncio has not looked: the write fails first.
    with contextlib.suppress(ChildProcessError):  # asyncio's thread was there before
        os.waitid(os.P_PID, engine.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(EngineGoneError):
        await engine.snapshot()
    assert await engine.wait() == -signal.SIGKILL


async def test_unloading_gives_the_memory_back(tmp_path: Path) -> None:
    async with running() as daemon:
        path = save_family_member(tmp_path, "large", size=1024, rows=4, depth=5, head=1)
        small = save_family_member(tmp_path, "small", head=1)
        await daemon.engine.load(1, small, model="small", version="1")
        await daemon.infer(1, _input())
        sizes = []
        for program_id in range(2, 5):
            before = (await daemon.engine.snapshot()).resident_bytes
            await daemon.engine.load(program_id, path, model="large", version="1")
            await daemon.infer(program_id, _input(0, 1024))
            loaded = (await daemon.engine.snapshot()).resident_bytes
            await daemon.engine.unload(program_id)
            sizes.append((before, loaded, (await daemon.engine.snapshot()).resident_bytes))
        weights = 6 * 1024 * 1024 * 4
        for _, loaded, after in sizes[1:]:
            assert loaded - after > weights // 2
        assert abs(sizes[-1][2] - sizes[0][2]) < weights // 4
