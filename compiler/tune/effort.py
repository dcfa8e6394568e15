"""How much time a tuning may take."""

from __future__ import annotations

from dataclasses import dataclass

from coexec.compiler.errors import CompileError


@dataclass(frozen=True, slots=True)
class Effort:
    """name: as on the command line. rounds_max and layer_seconds: of measuring one layer in all its
    layouts. model_rounds_max and model_seconds: of measuring all ways to run the whole model, which
    often are close. The seconds may be passed until rounds_min are done. work_max: a layout whose
    predicted work is more than this many times the least is not measured."""

    name: str
    rounds_min: int
    rounds_max: int
    model_rounds_max: int
    layer_seconds: float
    model_seconds: float
    work_max: float


EFFORTS = {
    effort.name: effort
    for effort in (
        Effort("fast", 4, 12, 100, 0.1, 2.0, 3.0),
        Effort("full", 9, 60, 300, 1.0, 20.0, 12.0),
    )
}


def checked_effort(name: str) -> str:
    """The name, when it is one of EFFORTS or empty. Raises CompileError otherwise."""
    if name and name not in EFFORTS:
        raise CompileError(f"no way to tune is called {name!r}; there are {', '.join(EFFORTS)}")
    return name
