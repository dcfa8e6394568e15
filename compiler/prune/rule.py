"""What to prune, how, and how far: the rules of `--prune`, and the targets that leave the rate
open."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from coexec.compiler.errors import CompileError
from coexec.compiler.prune.kernel_mask import PATTERN_RATE_MIN

SCHEMES = ("bcr", "block", "unstructured", "pattern", "kgs", "nm", "dense")
# What a tile of AMX holds of bf16.
_TILE = (16, 32)
# 2:4 and 1:4: what the nm layout stores.
_NM_RATES = (0.5, 0.75)
_FORMS = "write SCHEME=RATE, as in bcr=0.9, or LAYERS:SCHEME=RATE, as in 'head/*:bcr=0.8'"
_BLOCK_FORM = "a block is ROWSxCOLUMNS, as in bcr=0.9@8x64"


@dataclass(frozen=True, slots=True)
class PruneRule:
    """scheme: one of SCHEMES; dense prunes nothing. rate: the share of weights to remove, in
    [0, 1); None: a target decides, layer by layer. layers: a glob over names of layers, and of
    weights as the report gives them (lstm.r); "" is the rule for all that no other rule names.
    block: rows and columns of the blocks of bcr (None: measured for every layer) and of block."""

    scheme: str
    rate: float | None
    layers: str = ""
    block: tuple[int, int] | None = None

    def names(self, *names: str) -> bool:
        """Does the rule name a layer or weight of one of these names? The rule for all names
        none."""
        return bool(self.layers) and any(fnmatchcase(name, self.layers) for name in names)

    def why_not(self, op: str, shape: tuple[int, ...]) -> str:
        """Why the scheme cannot prune such a weight; "" when it can."""
        kernel = shape[2:] if op == "Conv" else ()
        if self.scheme == "pattern" and kernel != (3, 3):
            return "pattern is for 3x3 convolutions"
        if self.scheme == "nm" and op == "Conv":
            return "nm is for matrices; it would make no convolution faster"
        if self.scheme == "kgs" and math.prod(kernel) <= 1:
            return "kgs is for convolutions with kernels of more than one tap"
        return ""

    def __str__(self) -> str:
        where = f"{self.layers}:" if self.layers else ""
        rate = "" if self.scheme == "dense" or self.rate is None else f"={self.rate:g}"
        usual = self.block is None or (self.scheme == "block" and self.block == _TILE)
        block = "" if usual or self.block is None else f"@{self.block[0]}x{self.block[1]}"
        return f"{where}{self.scheme}{rate}{block}"


@dataclass(frozen=True, slots=True)
class Target:
    """How far to prune all layers whose rule has no rate, together. density: non-zeros of all
    weights that sparse kernels take, over their number. latency_us: the model's on one thread,
    as the sum of its layers' measured times. One of the two is given."""

    density: float | None = None
    latency_us: float | None = None

    @property
    def rate(self) -> float | None:
        """The share of all weights to remove, if that is the target."""
        return None if self.density is None else 1.0 - self.density

    def __str__(self) -> str:
        if self.latency_us is not None:
            return f"latency {self.latency_us / 1e3:g}ms"
        return f"density {self.density:g}"


def parse_density(text: str) -> float:
    """Above 0, up to 1. Raises CompileError."""
    density = _number(text)
    if not 0.0 < density <= 1.0:
        raise CompileError(
            f"--target-density {text!r}: the share of weights to keep, above 0 and up to 1"
        )
    return density


def parse_latency(text: str) -> float:
    """Microseconds from "5ms" or "800us". Raises CompileError."""
    unit = text[-2:]
    microseconds = _number(text[:-2]) * {"ms": 1e3, "us": 1.0}.get(unit, math.nan)
    if not 0.0 < microseconds < math.inf:
        raise CompileError(f"--target-latency {text!r}: write it with its unit, 5ms or 800us")
    return microseconds


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
    rate_text, at, block_text = rate_text.partition("@")
    block = _block(text, scheme, block_text) if at else _TILE if scheme == "block" else None
    if not equals:
        if scheme in ("pattern", "nm"):
            example = "pattern=0.877" if scheme == "pattern" else "nm=0.5"
            raise CompileError(f"--prune {text!r}: {scheme} takes a rate, as in {example}")
        return PruneRule(scheme, None, layers, block)
    rate = _number(rate_text)
    if not 0.0 <= rate < 1.0:
        raise CompileError(
            f"--prune {text!r}: the rate is the share of weights to remove, from 0 to below 1, "
            f"got {rate_text!r}"
        )
    if scheme == "pattern" and rate < PATTERN_RATE_MIN - 1e-3:
        raise CompileError(
            f"--prune {text!r}: pattern keeps 4 of 9 taps at most: the rate is from "
            f"{PATTERN_RATE_MIN:.3f}, got {rate_text!r}"
        )
    if scheme == "nm" and rate not in _NM_RATES:
        raise CompileError(
            f"--prune {text!r}: nm keeps two of every four weights (nm=0.5) or one (nm=0.75), "
            f"got {rate_text!r}"
        )
    return PruneRule(scheme, rate, layers, block)


def refuse_open_rates(rules: Iterable[PruneRule]) -> None:
    """Raises CompileError for a rule without a rate, when no target sets it."""
    for rule in rules:
        if rule.rate is None:
            raise CompileError(
                f"--prune {str(rule)!r}: no rate; {_FORMS}, or give --target-density or "
                "--target-latency"
            )


def _block(text: str, scheme: str, block_text: str) -> tuple[int, int]:
    rows, _, columns = block_text.partition("x")
    if scheme not in ("bcr", "block"):
        raise CompileError(f"--prune {text!r}: only bcr and block have blocks")
    if not (rows.isdecimal() and columns.isdecimal() and int(rows) and int(columns)):
        raise CompileError(f"--prune {text!r}: {_BLOCK_FORM}; got {block_text!r}")
    return int(rows), int(columns)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
