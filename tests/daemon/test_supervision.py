"""The engine dies; nobody notices but by the clock."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tritonclient.utils import InferenceServerException

from . import networks
from .conftest import START_S, Daemon, running, tensor, wait_for


class Load:
    """Clients that call and check until they are told to stop."""

    def __init__(self, daemon: Daemon, clients: int = 4) -> None:
        self._daemon = daemon
        self._stop = threading.Event()
        self.answered = 0
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(seed,)) for seed in range(clients)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        with self._daemon.client() as client:
            while not self._stop.is_set():
                x = rng.standard_normal((2, 8)).astype(np.float32)
                problem = ""
                try:
                    got = client.infer("mlp", [tensor("x", x)]).as_numpy("y")
                    if not np.allclose(got, networks.mlp_answer(x), rtol=1e-4, atol=1e-5):
                        problem = "wrong"
                except Exception as error:
                    problem = f"lost: {error}"
                with self._lock:
                    self.answered += 1
                    self.problems += [problem] if problem else []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    networks.mlp(networks.place(folder, "mlp"), 2)
    networks.identity(networks.place(folder, "identity"))
    return folder


def _kill(daemon: Daemon) -> None:
    engine = wait_for(daemon.engine, "an engine")
    engine.kill()
    psutil.wait_procs([engine], timeout=10)


def test_kill_9_loses_no_request(tmp_path: Path, small: Path) -> None:
    with running(tmp_path, models=small) as daemon:
        with Load(daemon) as load:
            for _ in range(6):
                goal = load.answered + 50
                wait_for(lambda goal=goal: load.answered >= goal, "answers between the kills")
                _kill(daemon)
            goal = load.answered + 50
            wait_for(lambda: load.answered >= goal, "answers after the last kill")
        assert load.problems == []
        assert not daemon.said("put aside")
        with daemon.client() as client:
            assert client.is_model_ready("mlp")


def test_loading_while_the_engine_dies(tmp_path: Path, small: Path) -> None:
    with (
        running(tmp_path, "--model-control", "explicit", models=small) as daemon,
        daemon.client() as client,
    ):
        client.load_model("mlp")
        outcome: list[Any] = []

        def load() -> None:
            for _ in range(3):
                client.load_model("identity")
                client.unload_model("identity")
            client.load_model("identity")
            outcome.append("done")

        thread = threading.Thread(target=load)
        thread.start()
        for _ in range(3):
            _kill(daemon)
        thread.join(60)
        assert outcome == ["done"]
        x = np.ones((1, 16), np.float32)
        np.testing.assert_array_equal(client.infer("identity", [tensor("x", x)]).as_numpy("y"), x)


def test_what_kills_the_engine_is_put_aside(tmp_path: Path, small: Path) -> None:
    """The engine dies by its own fault (here: a signal that faults send) whenever it computes
    `slow`. That model is put aside, the other goes on, and loading it again serves it again."""
    models = tmp_path / "models"
    shutil.copytree(small, models)
    networks.slow(networks.place(models, "slow"), layers=200)
    with (
        running(tmp_path / "d", "--http", "127.0.0.1:0", models=models) as daemon,
        daemon.client() as client,
    ):
        x = np.ones(networks.SLOW_SHAPE, np.float32)
        outcome: list[Any] = []

        def keep(result: Any, error: Any) -> None:
            outcome.append(error or result)

        client.async_infer("slow", [tensor("t0", x)], keep)
        for deaths in range(1, 4):
            wait_for(lambda: daemon.metric("coexec_engine_up") == 1, "an engine")
            engine = wait_for(daemon.engine, "its process")
            # It computes: it burns the processor.
            busy = sum(engine.cpu_times()[:2])
            wait_for(lambda e=engine, b=busy: sum(e.cpu_times()[:2]) > b + 0.3, "the computing")
            engine.send_signal(signal.SIGSEGV)
            wait_for(lambda n=deaths: daemon.metric("coexec_engine_faults_total") == n, "the death")
        wait_for(lambda: outcome, "the answer")
        assert "StatusCode.UNAVAILABLE" in outcome[0].status()
        assert "the engine died 3 times while it computed this model" in str(outcome[0])
        assert "SIGSEGV" in str(outcome[0])
        with pytest.raises(InferenceServerException, match="put aside"):
            client.infer("slow", [tensor("t0", x)])
        states = {row.name: row for row in client.get_model_repository_index().models}
        assert states["slow"].state == "UNAVAILABLE"
        assert "put aside" in states["slow"].reason
        y = np.ones((1, 16), np.float32)
        np.testing.assert_array_equal(client.infer("identity", [tensor("x", y)]).as_numpy("y"), y)
        client.load_model("slow")
        np.testing.assert_array_equal(client.infer("slow", [tensor("t0", x)]).as_numpy("t200"), x)


def test_an_engine_that_hangs_is_replaced(tmp_path: Path, small: Path) -> None:
    """Stopped from outside it neither answers nor dies. No request is lost and none blamed."""
    arguments = ("--hang-seconds", "1", "--http", "127.0.0.1:0")
    with running(tmp_path, *arguments, models=small) as daemon:
        with Load(daemon) as load:
            for hangs in range(1, 3):
                goal = load.answered + 50
                wait_for(lambda goal=goal: load.answered >= goal, "answers before it stops")
                engine = wait_for(daemon.engine, "an engine")
                engine.suspend()
                wait_for(
                    lambda n=hangs: daemon.metric("coexec_engine_hangs_total") >= n, "the discovery"
                )
            goal = load.answered + 50
            wait_for(lambda: load.answered >= goal, "answers after the last stop")
        assert load.problems == []
        with daemon.client() as client:
            for change in (client.unload_model, client.load_model):
                wait_for(daemon.engine, "an engine").suspend()
                change("identity")
            assert client.is_model_ready("identity")
        assert daemon.said("it hung, stopped from outside: it has not answered for")
        assert daemon.metric("coexec_models_put_aside_total") == 0


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, small: Path) -> None:
    """Of a daemon whose terminal is gone, say; that of a full disk is the same."""
    daemon = Daemon(tmp_path, models=small)
    read, write = os.pipe()
    os.close(read)
    daemon.process = subprocess.Popen(daemon.command, stdout=write, stderr=write)
    os.close(write)
    try:
        wait_for(daemon.serves, "the daemon to serve", START_S)
        _kill(daemon)
        with daemon.client() as client:
            x = np.ones((1, 16), np.float32)
            y = client.infer("identity", [tensor("x", x)]).as_numpy("y")
            np.testing.assert_array_equal(y, x)
    finally:
        assert daemon.stop() == 0


def test_what_never_ends_is_put_aside(tmp_path: Path, small: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(small, models)
    networks.counting(networks.place(models, "counting"))
    limit = 'parameters { key: "hang_seconds" value { string_value: "1" } }'
    (models / "counting" / "config.pbtxt").write_text(limit)
    with (
        running(tmp_path / "d", models=models) as daemon,
        daemon.client() as client,
    ):
        few, endless = np.array(3, np.int64), np.array(2**62, np.int64)
        assert client.infer("counting", [tensor("n", few)]).as_numpy("count") == 3
        with pytest.raises(InferenceServerException, match="the engine hung twice") as caught:
            client.infer("counting", [tensor("n", endless)])
        assert "StatusCode.UNAVAILABLE" in caught.value.status()
        assert "it hung: " in str(caught.value)
        assert "of model 'counting' has run for" in str(caught.value)
        x = np.ones((1, 16), np.float32)
        np.testing.assert_array_equal(client.infer("identity", [tensor("x", x)]).as_numpy("y"), x)


def test_loads_and_unloads_leave_no_memory_behind(tmp_path: Path, small: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(small, models)
    weights = np.random.default_rng(0).standard_normal((1024, 4096)).astype(np.float32)
    networks.dense(networks.place(models, "large"), weights)
    with (
        running(tmp_path / "d", "--model-control", "explicit", models=models) as daemon,
        daemon.client() as client,
    ):
        x = np.ones((1, 1024), np.float32)

        def cycle() -> None:
            client.load_model("large")
            client.infer("large", [tensor("x", x)])
            client.unload_model("large")

        for _ in range(3):
            cycle()
        engine = wait_for(daemon.engine, "the engine")
        resident = [engine, psutil.Process(daemon.process.pid)]
        before = [process.memory_info().rss for process in resident]
        for _ in range(20):
            cycle()
        after = [process.memory_info().rss for process in resident]
        grown = [b - a for a, b in zip(before, after, strict=True)]
        # One load is 16 MiB and more, so twenty kept loads would be hundreds.
        assert all(each < 16 << 20 for each in grown), grown
        client.load_model("large")
        client.infer("large", [tensor("x", x)])
        loaded = engine.memory_info().rss
        client.unload_model("large")
        assert loaded - engine.memory_info().rss > 12 << 20
