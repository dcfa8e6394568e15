"""Scenes and sounds are what they say they are."""

import itertools

import numpy as np
import pytest

from coexec.daemon.demo import sound, world


def _scene(kind: int, **changes: object) -> world.Scene:
    fields: dict[str, object] = {
        "kind": kind,
        "x": 40.0,
        "y": 50.0,
        "radius": 20.0,
        "angle": 0.0,
        "colour": (1.0, 0.0, 0.0),
        "background": (0.0, 0.0, 1.0),
        "shade": (0.0, 0.0),
        "softness": 0.5,
        "noise": 0.0,
        "pebbles": (),
    }
    return world.Scene(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", range(len(world.KINDS)))
def test_the_truth_is_what_the_picture_shows(kind: int) -> None:
    view = world.render(_scene(kind), np.random.default_rng(0))
    assert view.image.shape == (3, 96, 96)
    assert view.image.dtype == np.float32
    red = view.image[0] > 0.5
    columns, rows = np.flatnonzero(red.any(0)), np.flatnonzero(red.any(1))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / world.SIZE
    np.testing.assert_allclose(view.box, box, atol=1.5 / world.SIZE)
    small = red.reshape(48, 2, 48, 2).mean((1, 3)) >= 0.5
    assert (small == view.mask).mean() > 0.99
    assert (view.kind, view.count) == (kind, 0)


def test_shapes_differ_and_turn() -> None:
    rng = np.random.default_rng(0)
    masks = [world.render(_scene(kind), rng).mask for kind in range(len(world.KINDS))]
    for one, other in itertools.combinations(masks, 2):
        assert (one != other).sum() > 30
    turned = world.render(_scene(1, angle=0.7), rng).mask
    assert (turned != masks[1]).sum() > 30


def test_pebbles_are_counted_only_where_they_can_be_seen() -> None:
    seen = world.Pebble(80, 80, 3, (0, 1, 0))
    covered = world.Pebble(42, 52, 3, (0, 1, 0))
    touching = world.Pebble(84, 80, 3, (0, 1, 0))
    scene = world._clear(_scene(0, pebbles=(seen, covered, touching)))
    assert scene.pebbles == (seen,)
    view = world.render(scene, np.random.default_rng(0))
    assert view.count == 1
    assert view.image[1, 80, 80] == 1


def test_a_seed_gives_the_same_film_and_things_move() -> None:
    one, other = (list(itertools.islice(world.camera(3, 30), 60)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
    steps = [np.abs(b.box - a.box).max() for a, b in itertools.pairwise(one[:45])]
    assert 0 < max(steps) < 0.1
    assert len({view.kind for view in one}) <= 2


def test_sounds_know_their_kind_and_where_they_meet() -> None:
    heard = list(itertools.islice(sound.microphone(5, 20), 200))
    assert all(h.features.shape == (sound.FRAMES, sound.MELS) for h in heard)
    kinds = [h.kind for h in heard]
    assert None in kinds
    assert len(set(kinds)) >= 4
    again = next(sound.microphone(5, 20))
    np.testing.assert_array_equal(again.features, heard[0].features)


def test_features_show_the_pitch() -> None:
    t = np.arange(sound.WINDOW_LEN) / sound.RATE
    peaks = [
        int(sound.features(np.sin(2 * np.pi * hertz * t).astype(np.float32)).mean(0).argmax())
        for hertz in (300, 1000, 3000)
    ]
    assert peaks == sorted(set(peaks))
