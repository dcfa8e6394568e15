"""Two pictures: what ran when on which lane, and what the networks share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from coexec.protos import engine_pb2

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt

_COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
_SHARED_COLOUR = "#333333"
_SHARED = "one run for several networks"
_CLOSE_MS = 4.0  # the close look at the timeline
_TEXT_SHARE_MIN = 0.05  # of the picture's width: what text in a box needs

Spans = Sequence[engine_pb2.Span]


def _colours(models: Sequence[str]) -> dict[str, str]:
    """Legend text to colour."""
    repeated = _COLOURS * (len(models) // len(_COLOURS) + 1)
    return {_SHARED: _SHARED_COLOUR, **dict(zip(models, repeated, strict=False))}


def _legend(figure: Any, colours: Mapping[str, str]) -> None:
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in colours.values()]
    figure.legend(handles, colours, loc="outside lower center", ncols=3, frameon=False)


def _draw_spans(
    axes: Any, spans: Spans, lanes: Sequence[str], colours: Mapping[str, str], begin_us: int
) -> None:
    for span in spans:
        colour = colours[_SHARED if span.shared_by > 1 else span.model]
        bar = ((span.start_us - begin_us) / 1e3, span.duration_us / 1e3)
        axes.broken_barh([bar], (lanes.index(span.lane) - 0.35, 0.7), color=colour, linewidth=0)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_ylim(-0.6, max(len(lanes), 1) - 0.4)


def _busiest_us(spans: Spans, length_us: float) -> int:
    """The start of a span with the most spans within that length."""

    def spans_after(start_us: int) -> int:
        return sum(start_us <= span.start_us < start_us + length_us for span in spans)

    return max((span.start_us for span in spans), key=spans_after, default=0)


def draw_timeline(window: engine_pb2.TimelineWindow, shown_s: float, path: Path) -> None:
    """The last `shown_s` seconds of the window, and the busiest moment in it from close by.

    A row per lane, a bar per step.
    """
    end_us = max((span.start_us + span.duration_us for span in window.spans), default=0)
    begin_us = end_us - round(shown_s * 1e6)
    spans = [span for span in window.spans if span.start_us >= begin_us]
    lanes = sorted({span.lane for span in spans})
    colours = _colours(sorted({span.model for span in spans if span.shared_by <= 1}))
    figure, (far, close) = plt.subplots(
        2, 1, figsize=(12, 3 + 1.1 * len(lanes)), layout="constrained"
    )
    _draw_spans(far, spans, lanes, colours, begin_us)
    far.set_xlim(0, shown_s * 1e3)
    far.set_title("What ran when: each bar is one step on one lane")
    busiest_us = _busiest_us(spans, _CLOSE_MS * 1e3)
    _draw_spans(close, spans, lanes, colours, busiest_us)
    close.set_xlim(-0.02 * _CLOSE_MS, _CLOSE_MS)
    close.set_title(f"From {(busiest_us - begin_us) / 1e3:.1f} ms on, from close by")
    close.set_xlabel("milliseconds")
    _legend(figure, colours)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_segment(
    axes: Any, segment: engine_pb2.SegmentPlan, rows: Sequence[int], start: float, colour: str
) -> None:
    """A box as wide as the segment takes time, and what it is where there is room."""
    low, high = rows[0] - 0.42, rows[-1] + 0.42
    width = max(segment.cost_us, 1.0)
    box = plt.Rectangle((start, low), width, high - low, facecolor=colour, edgecolor="white")
    axes.add_patch(box)
    if width < _TEXT_SHARE_MIN * axes.get_xlim()[1]:
        return
    count = len(segment.layers)
    axes.text(
        start + width / 2,
        (low + high) / 2,
        f"{count} layer{'s' if count != 1 else ''}\n{segment.cost_us:.0f} us",
        ha="center",
        va="center",
        color="white",
        fontsize=8,
    )


def draw_sharing(
    plan: engine_pb2.EnginePlan, bytes_saved: int, saved_us: float, path: Path
) -> None:
    """A row per network, a box per segment; a box over several rows is computed once for all."""
    models = sorted({user for segment in plan.segments for user in segment.users})
    colours = _colours(models)
    figure, axes = plt.subplots(figsize=(12, 2.2 + 0.7 * len(models)), layout="constrained")
    ends = [0.0] * len(models)
    boxes = []
    for segment in plan.segments:
        rows = sorted({models.index(user) for user in segment.users})
        start = max(ends[row] for row in rows)
        boxes.append((segment, rows, start))
        for row in rows:
            ends[row] = start + max(segment.cost_us, 1.0)
    axes.set_xlim(0, max(ends, default=1.0) * 1.02)
    for segment, rows, start in boxes:
        colour = _SHARED_COLOUR if len(rows) > 1 else colours[models[rows[0]]]
        _draw_segment(axes, segment, rows, start, colour)
    axes.set_yticks(range(len(models)), models)
    axes.set_ylim(len(models) - 0.4, -0.6)
    axes.set_xlabel("microseconds, one run of each segment")
    axes.set_title(
        f"What is shared: {bytes_saved / 1e6:.2f} MB of weights stored once, "
        f"{saved_us / 1e3:.0f} ms of computation not done again"
    )
    _legend(figure, {_SHARED: _SHARED_COLOUR})
    figure.savefig(path, dpi=130)
    plt.close(figure)
