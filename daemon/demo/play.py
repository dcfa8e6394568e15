"""A camera and a microphone at fixed rates, and whoever answers them.

Latency runs from the moment a frame is due, not from when it was sent: a side that falls
behind pays for it.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from . import sound, world

Array = NDArray[np.float32]
HEADS = ("scene_classify", "scene_locate", "scene_segment", "scene_count")
SOUND = "sound_command"


class Side(Protocol):
    """One way to run the networks."""

    name: str

    def frame(self, image: Array, deadline_us: int) -> dict[str, Array]:
        """The heads' outputs for float32 [1, 3, 96, 96]; a head that failed is missing."""

    def window(self, features: Array, deadline_us: int) -> dict[str, Array]:
        """The sound network's output for float32 [1, 40, 32]; empty if it failed."""


@dataclass(frozen=True)
class Answer:
    """What came back for one input: when (milliseconds after it was due), and what."""

    index: int  # of the input
    latency_ms: float
    met: bool  # complete, and within the period
    outputs: dict[str, Array]


@dataclass
class Played:
    """Everything one side answered."""

    camera: list[Answer] = field(default_factory=list)
    microphone: list[Answer] = field(default_factory=list)


@dataclass(frozen=True)
class Material:
    """Inputs made beforehand, so that making them disturbs no measurement."""

    frames: Sequence[world.View]
    windows: Sequence[sound.Heard]
    fps: float
    windows_per_s: float

    @classmethod
    def make(cls, seconds: float, fps: float, windows_per_s: float, seed: int) -> "Material":
        """Enough frames and windows for `seconds`."""
        camera, microphone = world.camera(seed, fps), sound.microphone(seed, windows_per_s)
        frames = [next(camera) for _ in range(round(seconds * fps))]
        windows = [next(microphone) for _ in range(round(seconds * windows_per_s))]
        return cls(frames, windows, fps, windows_per_s)


def _tick(
    send: Callable[[int, int], dict[str, Array]],
    indices: range,
    period_s: float,
    wanted: int,
    answers: list[Answer],
    begin_s: float,
) -> None:
    """Send number by number, each when it is due, and note the answers."""
    for count, index in enumerate(indices):
        due_s = begin_s + count * period_s
        time.sleep(max(0.0, due_s - time.monotonic()))
        left_us = round((due_s + period_s - time.monotonic()) * 1e6)
        outputs = send(index, max(1, left_us))
        latency_s = time.monotonic() - due_s
        met = len(outputs) == wanted and latency_s <= period_s
        answers.append(Answer(index, latency_s * 1e3, met, outputs))


def play(side: Side, material: Material, part: int, parts: int, played: Played) -> None:
    """Play one of `parts` equal parts of the material to `side`; answers go to `played`."""

    def frame(index: int, deadline_us: int) -> dict[str, Array]:
        return side.frame(material.frames[index].image[None], deadline_us)

    def window(index: int, deadline_us: int) -> dict[str, Array]:
        return side.window(material.windows[index].features[None], deadline_us)

    def span(count: int) -> range:
        return range(count * part // parts, count * (part + 1) // parts)

    begin_s = time.monotonic() + 0.02
    frames, windows = span(len(material.frames)), span(len(material.windows))
    microphone = threading.Thread(
        target=_tick,
        args=(window, windows, 1 / material.windows_per_s, 1, played.microphone, begin_s),
    )
    microphone.start()
    _tick(frame, frames, 1 / material.fps, len(HEADS), played.camera, begin_s)
    microphone.join()


def frames_per_s(side: Side, material: Material, seconds: float) -> float:
    """Frames one after another, as fast as `side` answers."""
    begin_s = time.monotonic()
    done = 0
    while (passed_s := time.monotonic() - begin_s) < seconds:
        side.frame(material.frames[done % len(material.frames)].image[None], 1_000_000)
        done += 1
    return done / passed_s
