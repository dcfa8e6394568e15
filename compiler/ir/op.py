"""What every op owes: the record, and the generic entries that check before they call it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coexec.compiler.ir.graph import DTYPE_BYTES, AttrValue, IrError, TensorType

Array: TypeAlias = npt.NDArray[Any]
# Operands in the op's order (None: absent) and attributes.
Sample: TypeAlias = tuple[list[Array | None], dict[str, AttrValue]]

_KINDS: dict[str, tuple[type, type | tuple[type, ...] | None, str]] = {
    "i": (int, None, "an int"),
    "f": (float, None, "a float"),
    "s": (str, None, "a string"),
    "is": (list, int, "a list of ints"),
    "fs": (list, float, "a list of floats"),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Work of one call. flops counts a multiply-add as two; bytes is the memory traffic when
    every operand is read once and every result written once."""

    flops: int
    bytes: int


class Attrs:
    """Attributes with their kinds known. Reading one that is not there is our own mistake."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, AttrValue]) -> None:
        self._values = values

    def i(self, name: str) -> int:
        value = self._values[name]
        assert isinstance(value, int), name
        return value

    def f(self, name: str) -> float:
        value = self._values[name]
        assert isinstance(value, float), name
        return value

    def s(self, name: str) -> str:
        value = self._values[name]
        assert isinstance(value, str), name
        return value

    def ints(self, name: str) -> list[int]:
        value = self._values[name]
        assert isinstance(value, list), name
        return [int(v) for v in value]

    def floats(self, name: str) -> list[float]:
        value = self._values[name]
        assert isinstance(value, list), name
        return [float(v) for v in value]


def require(holds: bool, message: str) -> None:
    """Raises IrError with the message unless it holds."""
    if not holds:
        raise IrError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One op of the layer IR (docs/design/2026-11-20-layer-ir.md). No field has a default.

    inputs     operand names in order; "b?" may be absent, "x*" stands for one or more
    outputs    result names in order; "y?" may go unused
    weights    operands that may be constants of a sparse layout
    attrs      attribute name -> kind: i, f, s, is, fs
    infer      (*operand types, attrs) -> result types
    reference  (*operand arrays, attrs) -> result arrays: the definition
    cost       (*operand types, attrs, density) -> Cost; density is the stored share of the
               weights, in [0, 1]
    samples    operands and attributes for tests, edge shapes included
    rtol, atol how far a kernel may be from the reference, elementwise
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...]
    attrs: Mapping[str, str]
    infer: Callable[..., list[TensorType]]
    reference: Callable[..., list[Array]]
    cost: Callable[..., Cost]
    samples: Callable[[np.random.Generator], Iterator[Sample]]
    rtol: float
    atol: float

    def __post_init__(self) -> None:
        for item in fields(self):
            if getattr(self, item.name) is None:
                raise TypeError(f"op {self.name}: {item.name} is missing")

    def check_attrs(self, attrs: Mapping[str, AttrValue]) -> None:
        """Raises IrError unless attrs holds exactly the op's attributes, each of its kind."""
        missing, unknown = self.attrs.keys() - attrs.keys(), attrs.keys() - self.attrs.keys()
        require(not missing, f"{self.name}: attributes missing: {', '.join(sorted(missing))}")
        require(not unknown, f"{self.name}: unknown attributes: {', '.join(sorted(unknown))}")
        for name, kind in self.attrs.items():
            outer, inner, words = _KINDS[kind]
            value = attrs[name]
            fits = type(value) is outer
            if fits and inner is not None:
                assert isinstance(value, list)
                fits = all(type(item) is inner for item in value)
            require(fits, f"{self.name}: {name} must be {words}, got {value!r}")

    def infer_types(
        self, inputs: Sequence[TensorType | None], attrs: Mapping[str, AttrValue]
    ) -> list[TensorType]:
        """The result types. Raises IrError when an attribute, an operand or a shape is wrong."""
        self.check_attrs(attrs)
        operands = self._operands(inputs)
        for name, operand in zip(self._names(len(operands)), operands, strict=True):
            require(
                operand is None or operand.is_static,
                f"{self.name}: {name} must have a complete shape, got {operand}",
            )
            require(
                operand is None or operand.layout == "dense" or name in self.weights,
                f"{self.name}: {name} must be dense, got {operand}",
            )
        return self.infer(*operands, Attrs(attrs))

    def run(self, inputs: Sequence[Array | None], attrs: Mapping[str, AttrValue]) -> list[Array]:
        """The reference's results, contiguous."""
        results = self.reference(*self._operands(inputs), Attrs(attrs))
        return [np.ascontiguousarray(r).reshape(r.shape) for r in results]

    def cost_of(
        self,
        inputs: Sequence[TensorType | None],
        attrs: Mapping[str, AttrValue],
        density: float = 1.0,
    ) -> Cost:
        return self.cost(*self._operands(inputs), Attrs(attrs), density)

    def _names(self, count: int) -> list[str]:
        if self.inputs[-1].endswith("*"):
            return [self.inputs[-1][:-1]] * count
        return [name.rstrip("?") for name in self.inputs]

    def _operands(self, inputs: Sequence[Any | None]) -> list[Any]:
        """inputs with the absent trailing operands filled in."""
        if self.inputs[-1].endswith("*"):
            require(len(inputs) > 0, f"{self.name}: needs at least one operand")
            require(all(i is not None for i in inputs), f"{self.name}: an operand is absent")
            return list(inputs)
        require(
            len(inputs) <= len(self.inputs),
            f"{self.name}: takes {', '.join(self.inputs)}, got {len(inputs)} operands",
        )
        operands = [*inputs, *[None] * (len(self.inputs) - len(inputs))]
        for name, operand in zip(self.inputs, operands, strict=True):
            require(operand is not None or name.endswith("?"), f"{self.name}: {name} is absent")
        return operands


def traffic(*types: TensorType | None, density: float = 1.0, weights: int = 0) -> int:
    """Bytes read and written once; of the last `weights` types only the stored share counts."""
    dense, sparse = types[: len(types) - weights], types[len(types) - weights :]
    total = sum(t.elements * DTYPE_BYTES[t.dtype] for t in dense if t is not None)
    return total + round(density * sum(t.nbytes for t in sparse if t is not None))


def elementwise_cost(flops_per_element: int, *types: TensorType | None) -> Cost:
    """The cost when the last type is the result and each of its elements takes that work."""
    assert types[-1] is not None
    return Cost(flops=flops_per_element * types[-1].elements, bytes=traffic(*types))


def broadcast(op: str, *types: TensorType) -> tuple[int, ...]:
    """NumPy's broadcast shape. Raises IrError when the shapes do not fit together."""
    try:
        return np.broadcast_shapes(*(t.shape for t in types))
    except ValueError:
        shapes = ", ".join(str(t.shape) for t in types)
        raise IrError(f"{op}: shapes do not broadcast: {shapes}") from None


def same_dtype(op: str, **types: TensorType | None) -> str:
    """The dtype all operands share. Raises IrError when they differ."""
    present = {name: t for name, t in types.items() if t is not None}
    first = next(iter(present.values())).dtype
    listed = ", ".join(f"{name} {t.dtype}" for name, t in present.items())
    require(all(t.dtype == first for t in present.values()), f"{op}: dtype differs, {listed}")
    return first


def require_float(op: str, **types: TensorType | None) -> str:
    """The floating dtype all operands share. Raises IrError for any other."""
    dtype = same_dtype(op, **types)
    require(dtype in FLOATS, f"{op}: {next(iter(types))} must be f16, f32 or f64, got {dtype}")
    return dtype


def require_float_weights(op: str, x: TensorType, **weights: TensorType | None) -> None:
    """Weights of x's dtype; or of bf16 to an f32 x, which kernels widen exactly."""
    for name, w in weights.items():
        fits = w is None or w.dtype == x.dtype or (w.dtype, x.dtype) == ("bf16", "f32")
        require(fits, f"{op}: dtype differs, x {x.dtype}, {name} {w and w.dtype}")


def require_axis(op: str, axis: int, rank: int) -> None:
    require(0 <= axis < rank, f"{op}: axis {axis} is outside 0..{rank - 1}")


def volume(shape: Sequence[int]) -> int:
    return math.prod(shape)


FLOATS = ("f16", "bf16", "f32", "f64")
INTS = ("u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64")
NUMERIC = (*FLOATS, *INTS)
# Kernels add f32 in another order, and with fma, than the references, which compute in double.
SUM_RTOL, SUM_ATOL = 1e-5, 1e-5
# Kernels compute exp, log and their kin by polynomials good to a few units in the last place.
MATH_RTOL, MATH_ATOL = 1e-5, 1e-6
EXACT = 0.0
