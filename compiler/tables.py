"""A compiled model's description in text, for the terminal."""

from __future__ import annotations

from coexec.compiler.describe import Description, LayerDescription


def layer_table(description: Description) -> str:
    """A line per layer, and why those that are not native are not."""
    head = ("op", "name", "output", "layout", "density", "kernel", "us", "copied")
    rows = [
        (
            layer.op,
            layer.name,
            f"{layer.dtype}{layer.shape}",
            layer.layout,
            f"{layer.density:.2f}",
            layer.kernel,
            f"{layer.measured_us:.1f}",
            _copied(layer),
        )
        for layer in description.layers
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(head, widths, strict=True)).rstrip()]
    for row, layer in zip(rows, description.layers, strict=True):
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
        lines += [f"    not native: {line}" for line in layer.why_not_native.splitlines()]
    return "\n".join(lines)


def _copied(layer: LayerDescription) -> str:
    """What of its input the layer's kernel first rewrites in an order of its own."""
    if not layer.copied_bytes:
        return ""
    return f"{layer.copied_bytes / 1e3:.0f} KB, {layer.copied_us:.0f} us or more"


def summary(description: Description) -> str:
    """The whole model in one line."""
    native = sum(layer.native for layer in description.layers)
    total_us = sum(layer.measured_us for layer in description.layers)
    copied = sum(layer.copied_bytes for layer in description.layers)
    copied_us = sum(layer.copied_us for layer in description.layers)
    return (
        f"{description.name}: {native} of {len(description.layers)} layers native, "
        f"{description.native_flops_share:.1%} of {description.flops / 1e6:.1f} Mflop; "
        f"arena {description.arena_bytes / 1e6:.2f} MB, "
        f"constants {description.constants_bytes / 1e6:.2f} MB; {total_us / 1e3:.2f} ms measured"
        + (
            f", {copied_us / 1e3:.2f} ms of it or more copying {copied / 1e6:.2f} MB of inputs "
            "into the kernels' own order"
            if copied
            else ""
        )
    )
