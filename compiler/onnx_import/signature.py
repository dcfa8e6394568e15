"""What a model takes and gives, read without compiling it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from coexec.compiler.errors import CompileError, ShapeNeededError
from coexec.compiler.ir.graph import DTYPE_BYTES, TensorType
from coexec.compiler.onnx_import.read import ELEMENTS_MAX, read_model
from coexec.compiler.onnx_import.types import dtype_of

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


def read_signature(path: Path) -> Signature:
    """Raises CompileError as read_model does."""
    return signature_of(read_model(path).model)


def signature_of(model: onnx.ModelProto) -> Signature:
    """Inputs that have an initializer are constants here, and no inputs."""
    stored = {tensor.name for tensor in model.graph.initializer}
    stored |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    inputs = tuple(_spec(info) for info in model.graph.input if info.name not in stored)
    return Signature(inputs, tuple(_spec(info) for info in model.graph.output))


def _spec(info: onnx.ValueInfoProto) -> TensorSpec:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        word = (kind or "unknown").removesuffix("_type").removesuffix("_tensor")
        return TensorSpec(info.name, word, None)
    tensor = info.type.tensor_type
    dtype = dtype_of(tensor.elem_type)
    if not tensor.HasField("shape"):
        return TensorSpec(info.name, dtype, None)
    dims, symbols = [], []
    for dim in tensor.shape.dim:
        static = dim.HasField("dim_value") and dim.dim_value >= 0
        dims.append(dim.dim_value if static else -1)
        symbols.append("" if static else dim.dim_param)
    return TensorSpec(info.name, dtype, tuple(dims), tuple(symbols))
