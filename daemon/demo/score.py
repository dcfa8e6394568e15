"""Answers against the truth the world was made with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import world
from .play import HEADS, SOUND, Answer, Array, Material, Played

# What the networks reach on scenes of this kind, less a margin for one run's luck.
SCORES_MIN = {
    "scene_classify": 0.97,
    "scene_locate": 0.82,
    "scene_segment": 0.80,
    "scene_count": 0.97,
    "sound_command": 0.88,
}
DIFFERENCE_MAX = 1e-3  # outputs are probabilities and coordinates in [0, 1]


def _box_iou(box: Array, true: Array) -> float:
    low, high = np.maximum(box[:2], true[:2]), np.minimum(box[2:], true[2:])
    both = float(np.prod(np.maximum(high - low, 0)))
    either = float(np.prod(box[2:] - box[:2]) + np.prod(true[2:] - true[:2])) - both
    return both / either


def view_score(head: str, output: Array, view: world.View) -> float:
    """How right a head is about one view: 0 or 1, or intersection over union."""
    if head == "scene_classify":
        return float(output.argmax() == view.kind)
    if head == "scene_count":
        return float(output.argmax() == view.count)
    if head == "scene_locate":
        return _box_iou(output, view.box)
    mask = output[0] > 0.5
    return float((mask & view.mask).sum() / (mask | view.mask).sum())


def scores(played: Played, material: Material) -> dict[str, float]:
    """Network to its mean score over the answers it gave; 0 where it gave none."""
    found: dict[str, list[float]] = {name: [] for name in (*HEADS, SOUND)}
    for answer in played.cameras:
        views = material.frames[answer.index].views
        for head, output in answer.outputs.items():
            found[head] += [view_score(head, *pair) for pair in zip(output, views, strict=True)]
    for answer in played.microphone:
        kind = material.windows[answer.index].kind
        if kind is not None and SOUND in answer.outputs:
            found[SOUND].append(float(answer.outputs[SOUND][0].argmax() == kind))
    return {name: float(np.mean(values)) if values else 0.0 for name, values in found.items()}


def largest_difference(ours: Played, theirs: Played) -> float:
    """The largest difference between two sides' outputs for the same inputs."""
    largest = 0.0
    for mine, other in ((ours.cameras, theirs.cameras), (ours.microphone, theirs.microphone)):
        by_index = {answer.index: answer.outputs for answer in other}
        for answer in mine:
            for name, output in answer.outputs.items():
                if name in by_index.get(answer.index, {}):
                    gap = np.abs(output - by_index[answer.index][name]).max()
                    largest = max(largest, float(gap))
    return largest


@dataclass(frozen=True)
class Timing:
    """One player's latencies (milliseconds, of complete answers) and how many deadlines held."""

    p50_ms: float
    p99_ms: float
    met: int
    total: int

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> "Timing":
        """Over all inputs, those without an answer too; infinite latencies if none has one."""
        latencies = [a.latency_ms for a in answers if a.latency_ms is not None]
        p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (np.inf, np.inf)
        met = sum(answer.met for answer in answers)
        return cls(float(p50), float(p99), met, len(answers))


def mistakes(found: dict[str, float], difference: float) -> list[str]:
    """What is wrong with the daemon's answers; empty if nothing is."""
    wrong = [
        f"{name}: score {found[name]:.3f}, at least {least:.2f} expected"
        for name, least in SCORES_MIN.items()
        if found[name] < least
    ]
    if difference > DIFFERENCE_MAX:
        wrong.append(f"outputs differ from ONNX Runtime's by {difference:.2g}")
    return wrong
