"""The two sides of the comparison: the daemon through its client, and ONNX Runtime sessions."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import psutil

from coexec.clients import Client, CoexecError

from .play import CAMERAS, HEADS, SOUND, Array, Material, frames_per_s


@dataclass(frozen=True)
class Failure:
    """What did not come back in time, or not at all."""

    what: str  # the network, or the frame
    code: str
    text: str


def summary(failures: Sequence[Failure]) -> list[str]:
    """A line for each kind, with one failure's own words."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        kinds.setdefault((failure.what, failure.code), []).append(failure.text)
    return [
        f"{what}: {len(texts)} times {code}, as in: {texts[0]}"
        for (what, code), texts in sorted(kinds.items())
    ]


class DaemonSide:
    """A running daemon: one call names all heads."""

    name = "coexec"

    def __init__(self, client: Client) -> None:
        self._client = client
        self.failures: list[Failure] = []
        self.transport = ""

    def frame(self, image: Array, deadline_us: int) -> dict[str, Array]:
        """All heads in one call."""
        try:
            answers = self._client.infer_many(HEADS, {"image": image}, deadline_us=deadline_us)
        except CoexecError as error:
            self.failures.append(Failure("all networks", error.code.name, str(error)))
            return {}
        outputs: dict[str, Array] = {}
        for name, answer in answers.items():
            if isinstance(answer, CoexecError):
                self.failures.append(Failure(name, answer.code.name, str(answer)))
            else:
                (outputs[name],) = answer.values()
                self.transport = answer.transport
        return outputs

    def window(self, features: Array, deadline_us: int) -> dict[str, Array]:
        """The sound network."""
        try:
            answer = self._client.infer(SOUND, {"features": features}, deadline_us=deadline_us)
        except CoexecError as error:
            self.failures.append(Failure(SOUND, error.code.name, str(error)))
            return {}
        return {SOUND: answer["kind"]}


class OnnxRuntimeSide:
    """One ONNX Runtime session per network, in this process, without any server between.

    parallel: the heads of a frame run side by side on sessions of one thread each; else one
    after another on sessions that use every core.
    """

    name = "ONNX Runtime"

    def __init__(self, folder: Path, parallel: bool) -> None:
        cores = len(os.sched_getaffinity(0))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1 if parallel else cores
        self.settings = (
            f"{cores} heads at a time, 1 thread each"
            if parallel
            else f"heads in turn, {cores} threads each"
        )
        self._pool = ThreadPoolExecutor(cores if parallel else 1)
        before = psutil.Process().memory_info().rss
        self._sessions: dict[str, Any] = {
            name: ort.InferenceSession(
                folder / f"{name}.onnx", options, providers=["CPUExecutionProvider"]
            )
            for name in (*HEADS, SOUND)
        }
        self.frame(np.zeros((CAMERAS, 3, 96, 96), np.float32), 0)
        self.window(np.zeros((1, 40, 32), np.float32), 0)
        self.memory_bytes = psutil.Process().memory_info().rss - before

    def _run(self, name: str, data: Array) -> Array:
        session = self._sessions[name]
        output: Array = session.run(None, {session.get_inputs()[0].name: data})[0]
        return output

    def frame(self, image: Array, _deadline_us: int) -> dict[str, Array]:
        """All heads; ONNX Runtime knows no deadlines."""
        outputs = self._pool.map(lambda name: self._run(name, image), HEADS)
        return dict(zip(HEADS, outputs, strict=True))

    def window(self, features: Array, _deadline_us: int) -> dict[str, Array]:
        """The sound network, in the caller's thread."""
        return {SOUND: self._run(SOUND, features)}

    def close(self) -> None:
        """Let threads and sessions go."""
        self._pool.shutdown()
        self._sessions.clear()


def fastest_onnxruntime(folder: Path, material: Material) -> OnnxRuntimeSide:
    """Of the two ways to run the sessions, the one that is faster here."""
    best: OnnxRuntimeSide | None = None
    best_rate, memory_bytes = 0.0, 0
    for parallel in (True, False):
        side = OnnxRuntimeSide(folder, parallel)
        rate = frames_per_s(side, material, 0.5)
        memory_bytes = max(memory_bytes, side.memory_bytes)  # the second finds some freed
        if best is None or rate > best_rate:
            if best is not None:
                best.close()
            best, best_rate = side, rate
        else:
            side.close()
    assert best is not None
    best.memory_bytes = memory_bytes
    return best
