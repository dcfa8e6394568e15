"""What a model takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coexec.compiler.errors import CompileError, ShapeNeededError
from coexec.compiler.ir.graph import DTYPE_BYTES, TensorType

ELEMENTS_MAX = 2**31  # of one tensor
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. shape: -1 where the dim is dynamic; None when even the rank is not
    known. symbols: the name of each dynamic dim ("" without one); equal names agree.
    dtype: a short name ("f32"); of another kind than tensor, "sequence", "optional", "map"."""

    name: str
    dtype: str
    shape: Shape | None
    symbols: tuple[str, ...] = ()

    @property
    def is_static(self) -> bool:
        return self.shape is not None and -1 not in self.shape

    @property
    def type(self) -> TensorType:
        """The IR's type: "opaque" where it has no word for the kind, the dtype or the rank."""
        if self.shape is None or self.dtype not in DTYPE_BYTES:
            return TensorType("opaque", ())
        return TensorType(self.dtype, self.shape)

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} {self.dtype} of any shape"
        names = self.symbols or ("",) * len(self.shape)
        dims = (str(d) if d >= 0 else s or "?" for d, s in zip(self.shape, names, strict=True))
        return f"{self.name} {self.dtype}[{', '.join(dims)}]"


@dataclass(frozen=True, slots=True)
class Signature:
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def is_static(self) -> bool:
        """Are all input shapes complete?"""
        return all(spec.is_static for spec in self.inputs)

    def bind(self, model: str, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """The complete shape of every input: given ones checked against the declaration, static
        ones as declared. Raises CompileError for a name, a rank, a dim or equal symbols that do
        not fit, and for a dynamic input without a shape. model is for the message."""
        known = {spec.name for spec in self.inputs}
        for name in shapes:
            if name not in known:
                raise CompileError(
                    f"{model}: has no input {name!r}; its inputs are {', '.join(sorted(known))}"
                )
        bound: dict[str, Shape] = {}
        symbols: dict[str, int] = {}
        for spec in self.inputs:
            bound[spec.name] = _bind_one(model, spec, shapes.get(spec.name), symbols)
        return bound


def _bind_one(model: str, spec: TensorSpec, given: Shape | None, symbols: dict[str, int]) -> Shape:
    if given is None:
        if spec.shape is None or not spec.is_static:
            example = ",".join(str(d) if d >= 0 else "1" for d in spec.shape or (1,))
            raise ShapeNeededError(
                f"{model}: input {spec} has dimensions known only at run time; say which to "
                f"compile for, e.g. --shape {spec.name}={example}"
            )
        return spec.shape
    elements = 1
    for dim in given:
        elements *= dim
    if any(dim < 0 for dim in given) or elements > ELEMENTS_MAX:
        raise CompileError(f"{model}: input {spec.name} cannot have the shape {list(given)}")
    if spec.shape is None:
        return given
    fits = len(given) == len(spec.shape) and all(
        want in (-1, got) for want, got in zip(spec.shape, given, strict=False)
    )
    if not fits:
        raise CompileError(
            f"{model}: input {spec.name} is given the shape {list(given)}; it takes {spec}"
        )
    for dim, symbol in zip(given, spec.symbols, strict=False):
        if symbol and symbols.setdefault(symbol, dim) != dim:
            raise CompileError(
                f"{model}: dimension {symbol} is {symbols[symbol]} and {dim}; inputs that share "
                f"it must agree (input {spec.name} is given {list(given)})"
            )
    return given


def signature_from_json(facts: Mapping[str, Any]) -> Signature:
    """The signature that was written with dataclasses.asdict and JSON."""

    def specs(rows: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                row["name"],
                row["dtype"],
                None if row["shape"] is None else tuple(row["shape"]),
                tuple(row["symbols"]),
            )
            for row in rows
        )

    return Signature(specs(facts["inputs"]), specs(facts["outputs"]))
