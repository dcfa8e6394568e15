"""Kill the engine again and again under load; load and unload again and again.

    python -m bench.chaos [--requests 20000] [--kills 100] [--clients 8] [--loads 1000]

Every request must be answered, and answered right. Exits 1 when one was lost or wrong, or when
memory grew with the number of loads.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import psutil
import tritonclient.grpc as triton
from onnx import TensorProto, helper, numpy_helper

from bench.serving import Daemon, repository, serve

WIDTH = 256


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--loads", type=int, default=1_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _network(folder / "mlp.onnx")
        models = repository(folder / "models", {"mlp": path})
        with serve(folder / "daemon", "--model-repository", str(models)) as daemon:
            ok = _kill_under_load(daemon, arguments)
            return 0 if _load_and_unload(daemon, arguments.loads) and ok else 1


def _network(path: Path) -> Path:
    """Two layers whose weights are seeded, so that the right answer is known."""
    w1, w2 = _weights()
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["y"]),
    ]
    kind = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, WIDTH]) for n in "xy"]
    weights = [numpy_helper.from_array(w1, "w1"), numpy_helper.from_array(w2, "w2")]
    graph = helper.make_graph(nodes, "mlp", [kind[0]], [kind[1]], weights)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def _weights() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    w = rng.standard_normal((2, WIDTH, WIDTH)).astype(np.float32) / WIDTH**0.5
    return w[0], w[1]


class _Load:
    """Clients that call until they have made their share of the requests."""

    def __init__(self, daemon: Daemon, requests: int, clients: int) -> None:
        self._daemon = daemon
        self.answered = 0
        self.errors: list[str] = []
        self.latency_ms: list[float] = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(i, requests // clients))
            for i in range(clients)
        ]

    def __enter__(self) -> "_Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for thread in self._threads:
            thread.join()

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, seed: int, requests: int) -> None:
        rng = np.random.default_rng(seed + 100)
        w1, w2 = _weights()
        with self._daemon.client() as client:
            for _ in range(requests):
                x = rng.standard_normal((1, WIDTH)).astype(np.float32)
                start = time.perf_counter()
                error = self._call(client, x, np.maximum(x @ w1, 0) @ w2)
                with self._lock:
                    self.answered += 1
                    self.latency_ms.append((time.perf_counter() - start) * 1e3)
                    if error:
                        self.errors.append(error)

    def _call(self, client: triton.InferenceServerClient, x: np.ndarray, want: np.ndarray) -> str:
        tensor = triton.InferInput("x", list(x.shape), "FP32")
        tensor.set_data_from_numpy(x)
        try:
            got = client.infer("mlp", [tensor]).as_numpy("y")
        except Exception as error:
            return f"lost: {error}"
        return "" if np.allclose(got, want, rtol=1e-3, atol=1e-4) else "wrong"


def _kill_under_load(daemon: Daemon, arguments: argparse.Namespace) -> bool:
    kills = 0
    with _Load(daemon, arguments.requests, arguments.clients) as load:
        while kills < arguments.kills and load.running:
            if load.answered >= (kills + 1) * arguments.requests // (arguments.kills + 1):
                try:
                    engine = daemon.engine()
                except RuntimeError:
                    continue  # it is between two lives
                os.kill(engine.pid, signal.SIGKILL)
                engine.wait(10)
                kills += 1
            time.sleep(0.001)
    worst = np.percentile(load.latency_ms, [50, 99, 100])
    print(
        f"{load.answered} requests answered, {len(load.errors)} lost or wrong, {kills} kills; "
        f"latency p50 {worst[0]:.2f} ms, p99 {worst[1]:.1f} ms, worst {worst[2]:.0f} ms"
    )
    for error in sorted(set(load.errors))[:5]:
        print(f"  {error}")
    return not load.errors and kills == arguments.kills


def _load_and_unload(daemon: Daemon, loads: int) -> bool:
    resident: list[float] = []
    with daemon.client() as client:
        for i in range(loads):
            client.unload_model("mlp")
            client.load_model("mlp")
            if i % max(1, loads // 10) == 0 or i == loads - 1:
                resident.append(_resident_mib(daemon))
    print(f"{loads} loads and unloads; resident MiB {', '.join(f'{r:.1f}' for r in resident)}")
    # The first tenth warms caches; after it, growth beyond 5 % is a leak.
    return len(resident) < 3 or resident[-1] <= resident[1] * 1.05


def _resident_mib(daemon: Daemon) -> float:
    processes = [psutil.Process(daemon.process.pid), daemon.engine()]
    return sum(p.memory_info().rss for p in processes) / 2**20


if __name__ == "__main__":
    sys.exit(main())
