"""The demo's microphone: seven kinds of sound made with NumPy, and their spectrum.

Every kind repeats itself within a window, so any window that lies inside one sound shows what
it is. The features are the logarithm of a mel spectrum, as keyword spotters use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]

RATE = 8000  # samples per second
FRAMES = 40
MELS = 32
KINDS = ("noise", "tone", "rising", "falling", "warble", "beeps", "clicks")

_FRAME_LEN = 256
_HOP_LEN = 100
WINDOW_LEN = _FRAME_LEN + (FRAMES - 1) * _HOP_LEN  # 0.52 s


def make_sound(kind: int, seconds: float, rng: np.random.Generator) -> Wave:
    """A sound of kind KINDS[kind] with background noise. float32 [seconds * RATE]."""
    t = np.arange(int(seconds * RATE)) / RATE
    base = rng.uniform(500, 1600)
    period = rng.uniform(0.12, 0.24)
    turn = (t / period + rng.uniform()) % 1.0
    name = KINDS[kind]
    pitch, loud = np.full_like(t, base), np.ones_like(t)
    if name == "noise":
        loud[:] = 0
    elif name == "rising":
        pitch = base * (1 + 1.2 * turn)
    elif name == "falling":
        pitch = base * (2.2 - 1.2 * turn)
    elif name == "warble":
        pitch = base * (1.4 + 0.3 * np.sin(2 * np.pi * turn))
    elif name == "beeps":
        loud = (turn < 0.5).astype(float)
    elif name == "clicks":
        loud = np.exp(-turn * period * 250) * 2
        pitch = rng.uniform(200, 3800, len(t))  # no pitch: broadband
    wave = loud * np.sin(2 * np.pi * np.cumsum(pitch) / RATE + rng.uniform(0, 2 * np.pi))
    hiss = rng.standard_normal(len(t)) * (10 ** rng.uniform(-2.0, -0.7))
    return (wave * rng.uniform(0.3, 1.0) + hiss).astype(np.float32)


def _mel_filters() -> NDArray[np.float32]:
    """Triangles evenly spaced on the mel scale. float32 [129, 32]."""
    edges_mel = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), MELS + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    bins = np.arange(_FRAME_LEN // 2 + 1) * RATE / _FRAME_LEN
    rise = (bins[:, None] - edges[:-2]) / np.maximum(edges[1:-1] - edges[:-2], RATE / _FRAME_LEN)
    fall = (edges[2:] - bins[:, None]) / np.maximum(edges[2:] - edges[1:-1], RATE / _FRAME_LEN)
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


_FILTERS = _mel_filters()
_WINDOW = np.hanning(_FRAME_LEN).astype(np.float32)


def features(wave: Wave) -> NDArray[np.float32]:
    """Log mel spectrum of a window of WINDOW_LEN samples. float32 [40, 32], about zero to one."""
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME_LEN)[::_HOP_LEN][:FRAMES]
    power = np.abs(np.fft.rfft(frames * _WINDOW, axis=1)).astype(np.float32) ** 2
    mels: NDArray[np.float32] = np.log10(power @ _FILTERS + np.float32(1e-3))
    return mels * np.float32(0.25) + np.float32(0.25)


@dataclass(frozen=True)
class Heard:
    """A window of sound. features: float32 [40, 32]. kind is None where two sounds meet."""

    features: NDArray[np.float32]
    kind: int | None


def microphone(seed: int, windows_per_s: float) -> Iterator[Heard]:
    """Windows without end, `windows_per_s` of them for each second of sound."""
    rng = np.random.default_rng(seed)
    hop_len = round(RATE / windows_per_s)
    wave, kinds = np.empty(0, np.float32), np.empty(0, np.int64)
    while True:
        while len(wave) < WINDOW_LEN:
            kind = int(rng.integers(len(KINDS)))
            wave = np.concatenate([wave, make_sound(kind, rng.uniform(1.2, 2.5), rng)])
            kinds = np.concatenate([kinds, np.full(len(wave) - len(kinds), kind)])
        first, last = int(kinds[0]), int(kinds[WINDOW_LEN - 1])
        yield Heard(features(wave[:WINDOW_LEN]), first if first == last else None)
        wave, kinds = wave[hop_len:], kinds[hop_len:]
