"""The trade-off curve of a search: points, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coexec.compiler.errors import CompileError


@dataclass(frozen=True, slots=True)
class Option:
    """One layer pruned at one rate. harm: its relative squared error."""

    rate: float
    nonzeros: int
    us: float
    harm: float


@dataclass(frozen=True, slots=True)
class Point:
    """All layers' options together. density: of all weights that sparse kernels take. us: the
    model's layers together. harm: the searched layers' errors together."""

    density: float
    us: float
    harm: float
    taken: tuple[Option, ...]


def table(points: Sequence[Point], point: Point, rows_max: int = 12) -> list[str]:
    """The trade-off curve as text: some points of the frontier, the one taken marked."""
    picked = {round(i) for i in np.linspace(0, len(points) - 1, rows_max)} | {points.index(point)}
    return [
        "trade-off:  density  layers, ms  errors together",
        *(
            f"{'-> taken' if points[i] is point else '':10}  {points[i].density:7.3f}  "
            f"{points[i].us / 1e3:10.3f}  {points[i].harm:15.4f}"
            for i in sorted(picked)
        ),
    ]


def refuse_without_matplotlib() -> None:
    """Raises CompileError that says how to get it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise CompileError(
            "--trade-off draws with matplotlib, which is not installed; `pip install coexec[demo]`"
        ) from None


def draw_trade_off(points: Sequence[Point], taken: Point, path: Path) -> None:
    """Errors over milliseconds and over density, the point taken marked. The format is that of
    the path's suffix. Raises CompileError when it cannot be written."""
    import matplotlib as mpl

    mpl.use("Agg")  # no display needed
    from matplotlib import pyplot as plt

    figure, both = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for axes, label, x, at in (
        (both[0], "layers together, ms", [p.us / 1e3 for p in points], taken.us / 1e3),
        (both[1], "density", [p.density for p in points], taken.density),
    ):
        axes.plot(x, [p.harm for p in points], ".-", color="#4477aa")
        axes.plot([at], [taken.harm], "o", color="#ee6677", label="taken")
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
    both[0].set_ylabel("layers' relative errors, summed")
    both[0].legend(frameon=False)
    figure.suptitle("What pruning costs, layer rates searched")
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise CompileError(f"{path} cannot be written: {error.strerror or error}") from error
    except ValueError as error:  # no picture has such a name
        raise CompileError(f"{path} cannot be written: {error}") from error
    finally:
        plt.close(figure)
