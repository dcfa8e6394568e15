"""Players, scores and pictures with a side that knows the truth."""

import threading
from pathlib import Path

import numpy as np
import pytest

from coexec.clients import CoexecError
from coexec.daemon.demo import play, score, serve, sides, sound
from coexec.protos import engine_pb2

MATERIAL = play.Material.make(0.4, 30, 20, 7)


class Knowing:
    """Answers with the truth, and spoils what it is told to."""

    name = "knowing"

    def __init__(self, missing: str = "", wrong: bool = False) -> None:
        self._missing = missing
        self._wrong = wrong
        self._frames = iter(MATERIAL.frames)
        self.threads: set[str] = set()

    def frame(self, image: play.Array, deadline_us: int) -> dict[str, play.Array]:
        self.threads.add(threading.current_thread().name)
        assert image.shape == (4, 3, 96, 96)
        assert 0 < deadline_us <= 33_334
        views = next(self._frames).views
        one_hot = np.eye(5, dtype=np.float32)
        outputs = {
            "scene_classify": one_hot[[(view.kind + self._wrong) % 5 for view in views]],
            "scene_locate": np.stack([view.box for view in views]),
            "scene_segment": np.stack([view.mask[None].astype(np.float32) for view in views]),
            "scene_count": one_hot[[view.count for view in views]],
        }
        outputs.pop(self._missing, None)
        return outputs

    def window(self, features: play.Array, _deadline_us: int) -> dict[str, play.Array]:
        self.threads.add(threading.current_thread().name)
        for heard in MATERIAL.windows:
            if np.array_equal(heard.features, features[0]):
                kind = heard.kind or 0
                return {play.SOUND: np.eye(len(sound.KINDS), dtype=np.float32)[[kind]]}
        raise AssertionError("a window that was never made")


def _play(side: Knowing) -> play.Played:
    played = play.Played()
    for part in range(2):
        play.play(side, MATERIAL, part, 2, played)
    return played


def test_every_input_is_played_once_and_scored() -> None:
    side = Knowing()
    played = _play(side)
    assert [answer.index for answer in played.cameras] == list(range(12))
    assert [answer.index for answer in played.microphone] == list(range(8))
    assert len(side.threads) >= 2
    found = score.scores(played, MATERIAL)
    assert found == dict.fromkeys((*play.HEADS, play.SOUND), 1.0)
    assert score.mistakes(found, 0.0) == []


def test_timing_counts_what_was_dropped() -> None:
    answers = [play.Answer(i, float(i), i < 8, {}) for i in range(10)]
    answers += [play.Answer(10, None, False, {})]
    timing = score.Timing.of(answers)
    assert (timing.p50_ms, timing.met, timing.total) == (4.5, 8, 11)
    assert score.Timing.of(answers[-1:]).p99_ms == np.inf


class Clock(threading.local):
    """Stands for `time`; each thread's own passes only while that thread sleeps."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_a_side_that_is_late_drops_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(play, "time", clock)

    class Slow(Knowing):
        def frame(self, image: play.Array, deadline_us: int) -> dict[str, play.Array]:
            clock.sleep(0.12)
            return super().frame(image, deadline_us)

    played = play.Played()
    play.play(Slow(), MATERIAL, 0, 1, played)
    assert [answer.index for answer in played.cameras] == list(range(12))
    dropped = [answer for answer in played.cameras if answer.latency_ms is None]
    assert len(dropped) >= 4
    assert not any(answer.met for answer in played.cameras)


def test_wrong_missing_and_differing_answers_are_found() -> None:
    right, wrong, missing = (
        _play(Knowing()),
        _play(Knowing(wrong=True)),
        _play(Knowing("scene_count")),
    )
    found = score.scores(wrong, MATERIAL)
    assert found["scene_classify"] == 0
    assert score.mistakes(found, 0.0) == ["scene_classify: score 0.000, at least 0.97 expected"]
    assert not any(answer.met for answer in missing.cameras)
    assert score.scores(missing, MATERIAL)["scene_count"] == 0
    assert score.largest_difference(right, right) == 0
    difference = score.largest_difference(wrong, right)
    assert difference == 1
    assert "differ from ONNX Runtime's by 1" in score.mistakes({**found, "scene_classify": 1}, 1)[0]


def test_full_speed_counts_frames() -> None:
    class Steady(Knowing):
        def frame(self, _image: play.Array, _deadline_us: int) -> dict[str, play.Array]:
            return {}

    assert play.frames_per_s(Steady(), MATERIAL, 0.01) > 100


def test_the_shipped_networks_answer_rightly_and_share_their_backbone(tmp_path: Path) -> None:
    names = serve.fill_repository(tmp_path / "models")
    assert sorted(names) == sorted((*play.HEADS, play.SOUND))
    assert (tmp_path / "models" / "scene_count" / "1" / "model.onnx").is_file()
    material = play.Material.make(2, 30, 20, 11)
    for parallel in (True, False):
        side = sides.OnnxRuntimeSide(serve.NETWORKS, parallel)
        played = play.Played()
        for index, frame in enumerate(material.frames):
            outputs = side.frame(frame.images, 0)
            played.cameras.append(play.Answer(index, 0.0, True, outputs))
        for index, heard in enumerate(material.windows):
            outputs = side.window(heard.features[None], 0)
            played.microphone.append(play.Answer(index, 0.0, True, outputs))
        side.close()
        assert score.mistakes(score.scores(played, material), 0.0) == []


def test_backbones_have_equal_bits() -> None:
    onnx = pytest.importorskip("onnx")
    backbones = []
    for head in play.HEADS:
        graph = onnx.load(serve.NETWORKS / f"{head}.onnx").graph
        nodes = [n for n in graph.node if n.name.startswith("backbone.")]
        weights = [w for w in graph.initializer if w.name.startswith("backbone.")]
        assert graph.node[: len(nodes)] == nodes
        backbones.append([m.SerializeToString() for m in (*nodes, *weights)])
    assert len(backbones[0]) > 20
    assert all(backbone == backbones[0] for backbone in backbones)


def test_what_the_daemon_refuses_is_counted() -> None:
    class Refusing:
        def infer_many(self, *_args: object, **_kwargs: object) -> dict[str, CoexecError]:
            return {"scene_count": CoexecError("no time")}

        def infer(self, *_args: object, **_kwargs: object) -> None:
            raise CoexecError("gone")

    side = sides.DaemonSide(Refusing())  # type: ignore[arg-type]
    assert side.frame(np.zeros((1, 3, 96, 96), np.float32), 1) == {}
    assert side.window(np.zeros((1, 40, 32), np.float32), 1) == {}
    assert [vars(failure) for failure in side.failures] == [
        {"what": "scene_count", "code": "UNKNOWN", "text": "no time"},
        {"what": "sound_command", "code": "UNKNOWN", "text": "gone"},
    ]


def test_failures_of_a_kind_are_one_line() -> None:
    late = [sides.Failure("a", "DEADLINE_EXCEEDED", f"{k} ms are left") for k in range(3)]
    assert sides.summary([*late, sides.Failure("a", "UNAVAILABLE", "gone")]) == [
        "a: 3 times DEADLINE_EXCEEDED, as in: 0 ms are left",
        "a: 1 times UNAVAILABLE, as in: gone",
    ]


def test_pictures_are_drawn(tmp_path: Path) -> None:
    pictures = pytest.importorskip("coexec.daemon.demo.pictures")
    window = engine_pb2.TimelineWindow()
    for start, lane, model, shared in ((0, "cpu0", "a", 1), (900, "cpu1", "b", 2)):
        window.spans.add(
            start_us=start, duration_us=500, lane=lane, name="conv", model=model, shared_by=shared
        )
    pictures.draw_timeline(window, 0.1, tmp_path / "timeline.png")
    pictures.draw_timeline(engine_pb2.TimelineWindow(), 0.1, tmp_path / "empty.png")
    plan = engine_pb2.EnginePlan()
    plan.segments.add(layers=["c1", "c2"], cost_us=300, users=["a/1", "b/1"])
    plan.segments.add(layers=["out"], cost_us=20, users=["b/1"])
    pictures.draw_sharing(plan, 1000, 600.0, tmp_path / "sharing.png")
    for name in ("timeline", "empty", "sharing"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
