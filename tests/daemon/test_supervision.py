"""The engine dies; nobody notices but by the clock."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from . import networks
from .conftest import Daemon, running, tensor, wait_for


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
