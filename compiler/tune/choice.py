"""What was tried for a layer, what it took, and what was taken."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coexec.kernels.program.validate import LAYOUTS

NATIVE, FOREIGN = "native", "onnxruntime"
# The note on a layer's time there: it cannot be had for the layer alone.
IN_ITS_RUN = "in its run of all native layers"
_LAYOUT = f"({'|'.join(LAYOUTS)})"
# What Candidate.name may be; FOREIGN may say which layers, as begin:end.
_NAME = re.compile(
    rf"{_LAYOUT}|\w+={_LAYOUT}( \w+={_LAYOUT})*|{NATIVE}|{FOREIGN}( \d+:\d+)*|\d+x\d+", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a layer. name: "dense", "bcr", for several weights "w=bcr r=csr"; "native"
    and "onnxruntime" for a run of layers; "8x64" for blocks to prune by. work: predicted, as a
    share of every weight's products; 0 where there is no prediction. measured_us: 0 when it was not
    measured. note: why not, or what is wrong with it."""

    name: str
    work: float = 0.0
    measured_us: float = 0.0
    note: str = ""


@dataclass(slots=True)
class Choice:
    """The candidates, the default first, and the name of the one taken. mode: the effort that
    measured them."""

    candidates: list[Candidate] = field(default_factory=list)
    taken: str = ""
    mode: str = ""

    def __str__(self) -> str:
        """The one taken with its time, and the default's where that is another."""
        us = {row.name: row.measured_us for row in self.candidates}
        default = self.candidates[0].name
        if self.taken == default or not (us[self.taken] and us[default]):
            return self.taken
        return f"{self.taken} takes {us[self.taken]:.0f} us, {default} {us[default]:.0f} us"

    def to_json(self) -> dict[str, Any]:
        rows = [[c.name, c.work, c.measured_us, c.note] for c in self.candidates]
        return {"taken": self.taken, "mode": self.mode, "candidates": rows}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Choice:
        """Raises ValueError, TypeError or KeyError for anything that to_json did not make."""
        rows = [
            Candidate(str(name), float(work), float(us), str(note))
            for name, work, us, note in facts["candidates"]
        ]
        for row in rows:
            if not _NAME.fullmatch(row.name):
                raise ValueError(f"{row.name!r} is no way to run a layer")
            if not all(math.isfinite(x) and x >= 0 for x in (row.work, row.measured_us)):
                raise ValueError(f"{row.name!r} has the work or time of none")
        choice = cls(rows, str(facts["taken"]), str(facts["mode"]))
        if choice.taken not in {row.name for row in rows}:
            raise ValueError(f"{choice.taken!r} is none of the candidates")
        return choice
