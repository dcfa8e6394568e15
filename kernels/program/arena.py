"""Where the tensors inside a segment lie: one arena, lifetimes overlapped.

Offsets are chosen greedily, largest tensor first, each at the best-fitting gap among those that
live at the same time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
Inference", 2020, section 5.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

ALIGN = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Bytes needed from step `first` to step `last`, both included."""

    nbytes: int
    first: int
    last: int


def plan_arena(tensors: Sequence[Lifetime]) -> tuple[list[int], int]:
    """The byte offset of each tensor, and the bytes of the whole arena. Offsets are multiples
    of 64; tensors that live at the same time do not overlap."""
    offsets = [0] * len(tensors)
    placed: list[int] = []
    for i in sorted(range(len(tensors)), key=lambda i: (-tensors[i].nbytes, tensors[i].first)):
        neighbours = sorted(
            (offsets[k], offsets[k] + _round_up(tensors[k].nbytes))
            for k in placed
            if tensors[k].first <= tensors[i].last and tensors[i].first <= tensors[k].last
        )
        offsets[i] = _best_gap(neighbours, _round_up(tensors[i].nbytes))
        placed.append(i)
    total = max((offsets[i] + _round_up(t.nbytes) for i, t in enumerate(tensors)), default=0)
    return offsets, total


def _best_gap(taken: list[tuple[int, int]], nbytes: int) -> int:
    best, best_slack, end = -1, -1, 0
    for start, stop in taken:
        slack = start - end - nbytes
        if slack >= 0 and (best < 0 or slack < best_slack):
            best, best_slack = end, slack
        end = max(end, stop)
    return best if best >= 0 else end


def _round_up(nbytes: int) -> int:
    return (nbytes + ALIGN - 1) // ALIGN * ALIGN
