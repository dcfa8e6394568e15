"""Cameras and a microphone at fixed rates, and whoever answers them.

Latency runs from the moment a frame is due, not from when it was sent: a side that falls
behind pays for it. A frame whose period has passed before it could be sent is dropped, as a
robot would drop it for the next one.
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
CAMERAS = 4  # front, left, right and back of a robot, say: one frame is a picture of each


class Side(Protocol):
    """One way to run the networks."""

    name: str

    def frame(self, image: Array, deadline_us: int) -> dict[str, Array]:
        """The heads' outputs for float32 [4, 3, 96, 96]; a head that failed is missing."""

    def window(self, features: Array, deadline_us: int) -> dict[str, Array]:
        """The sound network's output for float32 [1, 40, 32]; empty if it failed."""


@dataclass(frozen=True)
class Answer:
    """What came back for one input: when, and what."""

    index: int  # of the input
    latency_ms: float | None  # after it was due; None if it was dropped or is not complete
    met: bool  # complete, and within the period
    outputs: dict[str, Array]


@dataclass
class Played:
    """Everything one side answered."""

    cameras: list[Answer] = field(default_factory=list)
    microphone: list[Answer] = field(default_factory=list)


@dataclass(frozen=True)
class Frame:
    """What all cameras see at one moment. images: float32 [4, 3, 96, 96]."""

    images: Array
    views: tuple[world.View, ...]


@dataclass(frozen=True)
class Material:
    """Inputs made beforehand, so that making them disturbs no measurement."""

    frames: Sequence[Frame]
    windows: Sequence[sound.Heard]
    fps: float
    windows_per_s: float

    @classmethod
    def make(cls, seconds: float, fps: float, windows_per_s: float, seed: int) -> "Material":
        """Enough frames and windows for `seconds`."""
        cameras = [world.camera(seed * CAMERAS + number, fps) for number in range(CAMERAS)]
        frames = []
        for _ in range(round(seconds * fps)):
            views = tuple(next(camera) for camera in cameras)
            frames.append(Frame(np.stack([view.image for view in views]), views))
        microphone = sound.microphone(seed, windows_per_s)
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
        outputs = send(index, left_us) if left_us > 0 else {}
        latency_s = time.monotonic() - due_s
        complete = len(outputs) == wanted
        latency_ms = latency_s * 1e3 if complete else None
        answers.append(Answer(index, latency_ms, complete and latency_s <= period_s, outputs))


def play(side: Side, material: Material, part: int, parts: int, played: Played) -> None:
    """Play one of `parts` equal parts of the material to `side`; answers go to `played`."""

    def frame(index: int, deadline_us: int) -> dict[str, Array]:
        return side.frame(material.frames[index].images, deadline_us)

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
    _tick(frame, frames, 1 / material.fps, len(HEADS), played.cameras, begin_s)
    microphone.join()


def frames_per_s(side: Side, material: Material, seconds: float) -> float:
    """Frames one after another, as fast as `side` answers."""
    begin_s = time.monotonic()
    done = 0
    while (passed_s := time.monotonic() - begin_s) < seconds:
        side.frame(material.frames[done % len(material.frames)].images, 1_000_000)
        done += 1
    return done / passed_s
