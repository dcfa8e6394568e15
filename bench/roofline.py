"""A roofline picture: what each layer reaches, under what the core and the memory allow.

After Williams, Waterman and Patterson, Communications of the ACM 52(4), 2009.
"""

from pathlib import Path
from typing import Any


def plot_roofline(report: dict[str, Any], path: Path) -> bool:
    """A point per row of bench.kernels, at its operations per byte and its GFLOP/s, by layout.
    Points above the slope had their data in caches; above the flat roof, Winograd saved operations.
    False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    peak, rate = report["peak_gflops"], report["memory_gb_per_s"]
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    rows = report["rows"]
    for layout in dict.fromkeys(row["layout"] for row in rows):
        points = [row for row in rows if row["layout"] == layout]
        x, y = ([row[key] for row in points] for key in ("intensity", "gflops"))
        axes.plot(x, y, "o", markersize=4, alpha=0.7, label=layout)
    low, high = (of(row["intensity"] for row in rows) for of in (min, max))
    ends = [min(low, 0.1), peak / rate, max(high, 2 * peak / rate)]
    axes.plot(ends, [min(peak, x * rate) for x in ends], color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("operations per byte of weights, input and output")
    axes.set_ylabel(f"GFLOP/s; roofs: {peak:.0f} GFLOP/s, {rate:.1f} GB/s from memory")
    axes.legend()
    figure.savefig(path, dpi=100)
    return True
