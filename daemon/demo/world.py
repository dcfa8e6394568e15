"""The demo's camera: scenes drawn with NumPy whose truth is known.

A scene holds one shape (circle, square, triangle, cross or ring) and up to four pebbles on a
shaded background. The training script draws scenes at random; the demo's camera moves one
smoothly. Shapes are signed distances, so blur is the width of their edge.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

SIZE = 96  # pixels on a side
MASK_SIZE = 48
KINDS = ("circle", "square", "triangle", "cross", "ring")
PEBBLES_MAX = 4

_CENTRES = np.arange(SIZE, dtype=np.float32) + np.float32(0.5)


@dataclass(frozen=True)
class Pebble:
    """A small disc. Pixels, and a colour of three values in [0, 1]."""

    x: float
    y: float
    radius: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """What a picture shows, in pixels, radians and colours of three values in [0, 1]."""

    kind: int  # an index into KINDS
    x: float
    y: float
    radius: float
    angle: float
    colour: tuple[float, float, float]
    background: tuple[float, float, float]
    shade: tuple[float, float]  # how much brighter the right and the bottom are
    softness: float  # width of an edge: blur
    noise: float  # standard deviation
    pebbles: tuple[Pebble, ...]


@dataclass(frozen=True)
class View:
    """A picture and its truth.

    image: float32 [3, 96, 96]. box: x0, y0, x1, y1 of the shape, in [0, 1]. mask: bool [48, 48].
    """

    image: Image
    kind: int
    box: NDArray[np.float32]
    mask: NDArray[np.bool_]
    count: int


def _distance(scene: Scene) -> Image:
    """Signed distance of every pixel to the scene's shape, negative inside. float32 [96, 96]."""
    x = (_CENTRES - np.float32(scene.x))[None, :]
    y = (_CENTRES - np.float32(scene.y))[:, None]
    cos, sin = np.float32(np.cos(scene.angle)), np.float32(np.sin(scene.angle))
    u, v = cos * x + sin * y, cos * y - sin * x
    r = np.float32(scene.radius)
    kind = KINDS[scene.kind]
    distance: Image
    if kind == "circle":
        distance = np.sqrt(u * u + v * v) - r
    elif kind == "square":
        distance = np.maximum(np.abs(u), np.abs(v)) - r * np.float32(0.78)
    elif kind == "triangle":
        side = np.float32(np.sqrt(3.0) / 2)
        half = np.float32(0.5)
        distance = np.maximum(np.maximum(side * u + half * v, half * v - side * u), -v) - r * half
    elif kind == "cross":
        arm = r * np.float32(0.32)
        bar = np.maximum(np.abs(u) - r, np.abs(v) - arm)
        distance = np.minimum(bar, np.maximum(np.abs(v) - r, np.abs(u) - arm))
    else:
        thick = r * np.float32(0.2)
        distance = np.abs(np.sqrt(u * u + v * v) - (r - thick)) - thick
    return distance


def _paint(image: Image, colour: tuple[float, float, float], cover: Image) -> None:
    for channel in range(3):
        image[channel] += (np.float32(colour[channel]) - image[channel]) * cover


def render(scene: Scene, rng: np.random.Generator) -> View:
    """Draw `scene`; `rng` gives the noise."""
    ramp = _CENTRES / np.float32(SIZE) - np.float32(0.5)
    shade = np.float32(scene.shade[0]) * ramp[None, :] + np.float32(scene.shade[1]) * ramp[:, None]
    image = np.asarray(scene.background, np.float32)[:, None, None] + shade
    distance = _distance(scene)
    soft = np.float32(scene.softness)
    _paint(image, scene.colour, np.clip(np.float32(0.5) - distance / soft, 0, 1))
    for pebble in scene.pebbles:
        x, y = _CENTRES - np.float32(pebble.x), _CENTRES - np.float32(pebble.y)
        away = np.sqrt(x[None, :] ** 2 + y[:, None] ** 2) - np.float32(pebble.radius)
        _paint(image, pebble.colour, np.clip(np.float32(0.5) - away / soft, 0, 1))
    image += rng.standard_normal(image.shape, np.float32) * np.float32(scene.noise)
    inside = distance < 0
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    box = np.asarray(edges, np.float32) / np.float32(SIZE)
    cell = SIZE // MASK_SIZE
    mask = inside.reshape(MASK_SIZE, cell, MASK_SIZE, cell).mean((1, 3)) >= 0.5
    return View(np.clip(image, 0, 1), scene.kind, box, mask, len(scene.pebbles))


def _colour(
    rng: np.random.Generator, unlike: tuple[float, float, float] | None
) -> tuple[float, float, float]:
    """A random colour, well apart from `unlike`."""
    while True:
        r, g, b = (float(value) for value in rng.uniform(0.05, 0.95, 3))
        if unlike is None or abs(r - unlike[0]) + abs(g - unlike[1]) + abs(b - unlike[2]) > 0.75:
            return r, g, b


def _clear(scene: Scene) -> Scene:
    """The scene without the pebbles that touch the shape or an earlier pebble."""
    kept: list[Pebble] = []
    for pebble in scene.pebbles:
        gap = np.hypot(pebble.x - scene.x, pebble.y - scene.y) - scene.radius * 1.1
        near = [np.hypot(pebble.x - p.x, pebble.y - p.y) - p.radius for p in kept]
        if min([gap, *near]) > pebble.radius + 4:
            kept.append(pebble)
    return replace(scene, pebbles=tuple(kept))


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene drawn at random."""
    background = _colour(rng, None)
    radius = float(rng.uniform(14, 26))
    pebbles = tuple(
        Pebble(
            float(rng.uniform(6, SIZE - 6)),
            float(rng.uniform(6, SIZE - 6)),
            float(rng.uniform(2.8, 4.5)),
            _colour(rng, background),
        )
        for _ in range(int(rng.integers(PEBBLES_MAX + 1)))
    )
    margin = radius * 1.05
    scene = Scene(
        kind=int(rng.integers(len(KINDS))),
        x=float(rng.uniform(margin, SIZE - margin)),
        y=float(rng.uniform(margin, SIZE - margin)),
        radius=radius,
        angle=float(rng.uniform(0, 2 * np.pi)),
        colour=_colour(rng, background),
        background=background,
        shade=(float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.15, 0.15))),
        softness=float(rng.uniform(0.8, 2.5)),
        noise=float(rng.uniform(0.0, 0.05)),
        pebbles=pebbles,
    )
    return _clear(scene)


def camera(seed: int, fps: float, hold_s: float = 1.5) -> Iterator[View]:
    """Frames without end: a shape that drifts and turns, another every `hold_s` seconds."""
    rng = np.random.default_rng(seed)
    frames_per_scene = max(1, round(fps * hold_s))
    while True:
        scene = random_scene(rng)
        span = SIZE - 2.1 * scene.radius
        phase = rng.uniform(0, 2 * np.pi, 2)
        turn = float(rng.uniform(-1.5, 1.5))
        for frame in range(frames_per_scene):
            t = frame / fps
            x, y = (SIZE + span * np.sin(phase + np.array([0.9, 1.3]) * t)) / 2
            moved = replace(scene, x=float(x), y=float(y), angle=scene.angle + turn * t)
            yield render(_clear(moved), rng)
