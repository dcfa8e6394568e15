"""The demo from end to end: serve, play, check, compare, report."""

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from coexec.clients import CoexecError
from coexec.clients.facts import table, trace
from coexec.protos import coexec_pb2, engine_pb2

from .play import CAMERAS, HEADS, SOUND, Material, Played, Side, frames_per_s, play
from .score import SCORES_MIN, Timing, largest_difference, mistakes, scores
from .serve import NETWORKS, DemoError, ServedDaemon
from .sides import DaemonSide, Failure, OnnxRuntimeSide, fastest_onnxruntime, summary

_WINDOWS_PER_S = 20.0
_PARTS = 3  # each side plays so often, in turns
_FULL_SPEED_S = 1.0
_SHOWN_S = 0.2  # of the timeline, in the picture

_Say = Callable[[str], None]


@dataclass(frozen=True)
class SideFigures:
    """What was measured of one side."""

    name: str
    settings: str
    cameras: Timing
    microphone: Timing
    frames_per_s: float
    memory_bytes: int


@dataclass(frozen=True)
class Outcome:
    """Everything the demo found out."""

    ours: SideFigures
    theirs: SideFigures
    scores: dict[str, float]
    difference: float
    failures: list[Failure]
    transport: str
    report: engine_pb2.SharingReport
    plan: engine_pb2.EnginePlan
    window: engine_pb2.TimelineWindow
    snapshot: coexec_pb2.Statistics

    def wrong(self) -> list[str]:
        """What is wrong with the daemon's answers."""
        return mistakes(self.scores, self.difference)

    def work_us(self) -> tuple[float, float]:
        """Microseconds of computation done, and saved because another's run was used.

        Of the segments that are shared, at the mean of their measured runs; the engine's own
        sum takes what it expected of each run at the time.
        """
        segments = self.report.segments
        done = sum(segment.runs * segment.cost_us for segment in segments)
        return done, sum(segment.hits * segment.cost_us for segment in segments)


def _describe_networks(say: _Say) -> None:
    rows = []
    for name in (*HEADS, SOUND):
        path = NETWORKS / f"{name}.onnx"
        weights = [numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer]
        count = sum(w.size for w in weights)
        zeros = sum(w.size - int(np.count_nonzero(w)) for w in weights)
        rows.append((name, count, f"{zeros / count:.0%}"))
    say(table(("network", "weights", "zeros"), rows))


def _play_in_turns(sides: list[tuple[Side, Played]], material: Material, say: _Say) -> None:
    for part in range(_PARTS):
        for side, played in sides:
            seen = len(played.cameras)
            play(side, material, part, _PARTS, played)
            met = sum(answer.met for answer in played.cameras[seen:])
            say(
                f"  turn {part + 1} of {_PARTS}  {side.name:12s}  "
                f"{met} of {len(played.cameras) - seen} frames in time"
            )


def _figures(
    side: Side, settings: str, played: Played, rate: float, memory_bytes: int
) -> SideFigures:
    cameras, microphone = Timing.of(played.cameras), Timing.of(played.microphone)
    return SideFigures(side.name, settings, cameras, microphone, rate, memory_bytes)


def _warm_up(daemon: ServedDaemon, material: Material) -> None:
    """Have the networks compiled for so many cameras, and run them a little."""
    for frame in material.frames[:10]:
        for name, answer in daemon.client.infer_many(HEADS, {"image": frame.images}).items():
            if isinstance(answer, CoexecError):
                raise DemoError(f"{name} does not run: {answer}")


def _measure(daemon: ServedDaemon, material: Material, say: _Say) -> Outcome:
    ours = DaemonSide(daemon.client)
    theirs: OnnxRuntimeSide = fastest_onnxruntime(NETWORKS, material)
    say(f"ONNX Runtime: one session per network, {theirs.settings} (the faster way here)")
    _warm_up(daemon, material)
    played, other = Played(), Played()
    say(
        f"{CAMERAS} cameras, {material.fps:g} frames/s, to {len(HEADS)} networks; "
        f"microphone {material.windows_per_s:g} windows/s; due within one period"
    )
    _play_in_turns([(theirs, other), (ours, played)], material, say)
    window = daemon.client.timeline(2 * _SHOWN_S)
    rates = [frames_per_s(side, material, _FULL_SPEED_S) for side in (ours, theirs)]
    settings = "one daemon, one call per frame"
    theirs.close()
    return Outcome(
        ours=_figures(ours, settings, played, rates[0], daemon.memory_bytes()),
        theirs=_figures(theirs, theirs.settings, other, rates[1], theirs.memory_bytes),
        scores=scores(played, material),
        difference=largest_difference(played, other),
        failures=ours.failures,
        transport=ours.transport,
        report=daemon.client.reuse_report(),
        plan=daemon.client.plan(),
        window=window,
        snapshot=next(daemon.client.watch_statistics()),
    )


def _print(outcome: Outcome, say: _Say) -> None:
    rows = []
    for name, mine, other in (
        ("cameras", outcome.ours.cameras, outcome.theirs.cameras),
        ("microphone", outcome.ours.microphone, outcome.theirs.microphone),
    ):
        rows += [
            (f"{name}, p50 ms", f"{mine.p50_ms:.2f}", f"{other.p50_ms:.2f}"),
            (f"{name}, p99 ms", f"{mine.p99_ms:.2f}", f"{other.p99_ms:.2f}"),
            (
                f"{name}, deadlines met",
                f"{mine.met} of {mine.total}",
                f"{other.met} of {other.total}",
            ),
        ]
    rows.append(
        (
            "frames/s at full speed",
            f"{outcome.ours.frames_per_s:.0f}",
            f"{outcome.theirs.frames_per_s:.0f}",
        )
    )
    say("")
    say(table(("", outcome.ours.name, outcome.theirs.name), rows))
    engine = outcome.snapshot.engine
    done_us, saved_us = outcome.work_us()
    say("")
    say(
        f"work saved by sharing: the common part took {done_us / 1e3:.0f} ms instead of "
        f"{(done_us + saved_us) / 1e3:.0f} ms ({saved_us / max(done_us + saved_us, 1):.0%} saved)"
    )
    say(
        f"weights: {engine.weight_bytes / 1e6:.2f} MB stored, "
        f"{engine.weight_bytes_alone / 1e6:.2f} MB if each network kept its own"
    )
    say(
        f"memory: {outcome.ours.memory_bytes / 1e6:.0f} MB in all for daemon and engine; "
        f"the sessions added {outcome.theirs.memory_bytes / 1e6:.0f} MB to this process"
    )
    say(f"tensors went by {outcome.transport}")
    say("")
    rows = [
        (name, f"{score:.3f}", f"{SCORES_MIN[name]:.2f}") for name, score in outcome.scores.items()
    ]
    say(table(("answers against the truth", "score", "at least"), rows))
    say(f"largest difference from ONNX Runtime's outputs: {outcome.difference:.1e}")
    for text in summary(outcome.failures):
        say(text)


def _facts(outcome: Outcome) -> dict[str, Any]:
    engine = outcome.snapshot.engine
    done_us, saved_us = outcome.work_us()
    return {
        "sides": [asdict(outcome.ours), asdict(outcome.theirs)],
        "scores": outcome.scores,
        "difference": outcome.difference,
        "failures": [asdict(failure) for failure in outcome.failures],
        "transport": outcome.transport,
        "work_done_us": done_us,
        "work_saved_us": saved_us,
        "weight_bytes": engine.weight_bytes,
        "weight_bytes_alone": engine.weight_bytes_alone,
        "engine_restarts": outcome.snapshot.engine_restarts,
        "wrong": outcome.wrong(),
    }


def _write_report(outcome: Outcome, folder: Path, say: _Say) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    written = ["report.json", "trace.json"]
    (folder / "report.json").write_text(json.dumps(_facts(outcome), indent=1))
    (folder / "trace.json").write_text(json.dumps(trace(outcome.window)))
    try:
        from . import pictures
    except ImportError:
        say("no pictures: matplotlib is not installed (pip install 'coexec[demo]')")
    else:
        pictures.draw_timeline(outcome.window, _SHOWN_S, folder / "timeline.png")
        saved_us = outcome.work_us()[1]
        bytes_saved = outcome.report.bytes_saved
        pictures.draw_sharing(outcome.plan, bytes_saved, saved_us, folder / "sharing.png")
        written += ["timeline.png", "sharing.png"]
    say(f"written to {folder}/: {', '.join(written)}")


def run(seconds: float, fps: float, seed: int, output: Path, *, as_json: bool = False) -> int:
    """Run the demo; 0 if every answer was right, else 1.

    seconds: of play per side. output: a folder for report.json, trace.json and the pictures.
    """
    stream = sys.stderr if as_json else sys.stdout

    def say(text: str) -> None:
        print(text, file=stream, flush=True)

    _describe_networks(say)
    say("drawing the scenes and making the sounds ...")
    material = Material.make(seconds, fps, _WINDOWS_PER_S, seed)
    say("compiling the networks and starting the daemon ...")
    try:
        with (
            tempfile.TemporaryDirectory(prefix="coexec-demo-") as folder,
            ServedDaemon(Path(folder)) as daemon,
        ):
            outcome = _measure(daemon, material, say)
    except DemoError as error:
        say(f"coexec: {error}")
        return 1
    _print(outcome, say)
    _write_report(outcome, output, say)
    if as_json:
        print(json.dumps(_facts(outcome)))
    wrong = outcome.wrong()
    for text in wrong:
        say(f"wrong: {text}")
    say("" if wrong else "every answer is as it should be")
    return 1 if wrong else 0
