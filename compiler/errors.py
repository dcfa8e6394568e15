"""What goes wrong while compiling, in words for whoever gave us the model."""

import difflib
from collections.abc import Collection, Iterable

_NAMED_MAX = 3


class CompileError(ValueError):
    """The model cannot be compiled. The text says which model or layer, what was given, what
    fits, and what to do."""


class ShapeNeededError(CompileError):
    """An input has dimensions known only at run time, and nobody said for which to compile."""


def some_of(known: Collection[str], name: str = "") -> str:
    """Names for a message: those like `name`, or the first, and how many more there are."""
    near = difflib.get_close_matches(name, known, _NAMED_MAX, 0.3) or sorted(known)[:_NAMED_MAX]
    more = len(known) - len(near)
    return ", ".join(near) + (f" and {more} more" if more else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known; "" when none is like it."""
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean '{near[0]}'?" if near else ""
