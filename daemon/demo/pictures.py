"""Two pictures: what ran when on which lane, and what the networks share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from coexec.protos import engine_pb2

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
_SHARED_COLOUR = "#222222"


def _legend(figure: Any, axes: Any, colours: dict[str, str]) -> None:
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    axes.legend(
        handles, colours, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, frameon=False
    )
    figure.tight_layout()


def draw_timeline(window: engine_pb2.TimelineWindow, shown_s: float, path: Path) -> None:
    """The last `shown_s` seconds of the window: a row per lane, a bar per step."""
    end_us = max((span.start_us + span.duration_us for span in window.spans), default=0)
    begin_us = end_us - round(shown_s * 1e6)
    spans = [span for span in window.spans if span.start_us >= begin_us]
    lanes = sorted({span.lane for span in spans})
    models = sorted({span.model for span in spans if span.shared_by <= 1})
    colours = dict(zip(models, _COLOURS * len(models), strict=False))
    figure, axes = plt.subplots(figsize=(12, 1.6 + 0.6 * len(lanes)))
    for span in spans:
        start_ms, length_ms = (span.start_us - begin_us) / 1e3, span.duration_us / 1e3
        colour = _SHARED_COLOUR if span.shared_by > 1 else colours[span.model]
        row = lanes.index(span.lane)
        axes.broken_barh([(start_ms, length_ms)], (row - 0.35, 0.7), color=colour)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_xlim(0, shown_s * 1e3)
    axes.set_xlabel("milliseconds")
    axes.set_title("What ran when: each bar is one step on one lane")
    _legend(figure, axes, {"one run for several networks": _SHARED_COLOUR, **colours})
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _rows_of(segment: engine_pb2.SegmentPlan, models: Sequence[str]) -> list[int]:
    return sorted(models.index(user) for user in set(segment.users))


def draw_sharing(plan: engine_pb2.EnginePlan, report: engine_pb2.SharingReport, path: Path) -> None:
    """A row per network, a box per segment; a box over several rows is computed once for all."""
    models = sorted({user for segment in plan.segments for user in segment.users})
    figure, axes = plt.subplots(figsize=(12, 1.8 + 0.7 * len(models)))
    ends = [0.0] * len(models)
    for segment in plan.segments:
        rows = _rows_of(segment, models)
        start, width = max(ends[row] for row in rows), max(segment.cost_us, 1.0)
        low, high = rows[0] - 0.42, rows[-1] + 0.42
        colour = _SHARED_COLOUR if len(rows) > 1 else _COLOURS[rows[0] % len(_COLOURS)]
        box = plt.Rectangle(
            (start, low), width, high - low, facecolor=colour, alpha=0.85, edgecolor="white"
        )
        axes.add_patch(box)
        layers = f"{len(segment.layers)} layers" if len(segment.layers) != 1 else "1 layer"
        axes.text(
            start + width / 2,
            (low + high) / 2,
            f"{layers}\n{segment.cost_us:.0f} us",
            ha="center",
            va="center",
            color="white",
            fontsize=8,
        )
        for row in rows:
            ends[row] = start + width
    axes.set_yticks(range(len(models)), models)
    axes.set_ylim(len(models) - 0.4, -0.6)
    axes.set_xlim(0, max(ends, default=1.0) * 1.02)
    axes.set_xlabel("microseconds, one run of each segment")
    axes.set_title(
        f"What is shared: {report.bytes_saved / 1e6:.2f} MB of weights stored once, "
        f"{report.saved_us / 1e3:.0f} ms of computation not done again"
    )
    colours = {"shared by several networks": _SHARED_COLOUR}
    _legend(figure, axes, colours)
    figure.savefig(path, dpi=130)
    plt.close(figure)
