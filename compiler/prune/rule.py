"""What to prune, how, and how far: the rules of `--prune`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase

from coexec.compiler.errors import CompileError

SCHEMES = ("bcr", "unstructured", "dense")
_FORMS = "write SCHEME=RATE, as in bcr=0.9, or LAYERS:SCHEME=RATE, as in 'head/*:bcr=0.8'"


@dataclass(frozen=True, slots=True)
class PruneRule:
    """scheme: one of SCHEMES; dense prunes nothing. rate: the share of weights to remove, in
    [0, 1). layers: a glob over layer names; "" is the rule for all that no other rule names."""

    scheme: str
    rate: float
    layers: str = ""

    def names(self, layer: str) -> bool:
        """Does the rule name this layer? The rule for all names none."""
        return bool(self.layers) and fnmatchcase(layer, self.layers)

    def __str__(self) -> str:
        where = f"{self.layers}:" if self.layers else ""
        return f"{where}{self.scheme}" + ("" if self.scheme == "dense" else f"={self.rate:g}")


def parse_rule(text: str) -> PruneRule:
    """A rule from its form on the command line. Raises CompileError that says what fits."""
    layers, colon, what = text.rpartition(":")
    if colon and not layers:
        raise CompileError(f"--prune {text!r}: no layers before the colon; {_FORMS}")
    scheme, equals, rate_text = what.partition("=")
    if scheme not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise CompileError(f"--prune {text!r}: no scheme {scheme!r}, there are {known}; {_FORMS}")
    if scheme == "dense":
        if equals:
            raise CompileError(f"--prune {text!r}: dense takes no rate")
        return PruneRule("dense", 0.0, layers)
    if not equals:
        raise CompileError(f"--prune {text!r}: no rate; {_FORMS}")
    try:
        rate = float(rate_text)
    except ValueError:
        rate = math.nan
    if not 0.0 <= rate < 1.0:
        raise CompileError(
            f"--prune {text!r}: the rate is the share of weights to remove, from 0 to below 1, "
            f"got {rate_text!r}"
        )
    return PruneRule(scheme, rate, layers)
