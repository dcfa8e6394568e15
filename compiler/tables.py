"""A compiled model's description in text, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from coexec.compiler.describe import Description, LayerDescription

_TIMES = ("us", "ms", "s")
_BYTES = ("B", "KB", "MB", "GB")
_NAMED_MAX = 3  # of the layers with one reason not to be native
_FLOPS = ("flop", "kflop", "Mflop", "Gflop")


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
            f"{layer.measured_us:.1f}" if layer.measured_us else "-",
            _copied(layer),
        )
        for layer in description.layers
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(head, widths, strict=True)).rstrip()]
    for row, layer in zip(rows, description.layers, strict=True):
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
        lines += [f"    not native: {line}" for line in _refusals(layer.why_not_native)]
    return "\n".join(lines)


def _refusals(why_not_native: str) -> list[str]:
    """A line per reason, with those it holds for."""
    holders: dict[str, list[str]] = {}
    for line in why_not_native.splitlines():
        name, parted, reason = line.partition("): ")
        holders.setdefault(reason if parted else line, []).append(f"{name})" if parted else "")
    return [_refusal(names, reason) for reason, names in holders.items()]


def _refusal(names: Sequence[str], reason: str) -> str:
    if not all(names):
        return reason
    more = len(names) - _NAMED_MAX
    return ", ".join(names[:_NAMED_MAX]) + (f" and {more} more: " if more > 0 else ": ") + reason


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
    measured = f"{_amount(total_us, _TIMES)} measured"
    if description.layers and not total_us:
        measured = "not measured, since it does not run on made-up inputs (`coexec bench --input`)"
    text = (
        f"{description.name}: {native} of {len(description.layers)} layers native, "
        f"{description.native_flops_share:.1%} of {_amount(description.flops, _FLOPS)}; "
        f"arena {_amount(description.arena_bytes, _BYTES)}, "
        f"constants {_amount(description.constants_bytes, _BYTES)}; "
        f"{measured}"
    )
    if not copied:
        return text
    return (
        f"{text}, {_amount(copied_us, _TIMES)} of it or more copying {_amount(copied, _BYTES)} of "
        "inputs into the kernels' own order"
    )


def _amount(value: float, units: Sequence[str]) -> str:
    """In the largest of the units, each a thousand of the one before, that leaves 1 or more."""
    at = 0
    while value >= 1000.0 and at + 1 < len(units):
        value /= 1000.0
        at += 1
    return f"{value:.3g} {units[at]}" if value < 1000.0 else f"{value:.0f} {units[at]}"
