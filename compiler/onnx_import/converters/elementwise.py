"""Elementwise ops: functions of one operand, arithmetic, comparison, choice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from coexec.compiler.ir.graph import Value, np_dtype
from coexec.compiler.onnx_import.node import Converter, Node, NotNative
from coexec.compiler.onnx_import.types import dtype_of

_F32_MAX = float(np.finfo(np.float32).max)
_F64_MAX = float(np.finfo(np.float64).max)
_PLAIN = (
    "Relu", "Sigmoid", "Tanh", "Sqrt", "Exp", "Log", "Abs", "Neg", "Floor", "Ceil", "Round",
    "Reciprocal", "Sign", "Sin", "Cos", "Erf", "Softplus", "Softsign", "HardSwish", "Mish", "Not",
)  # fmt: skip
# ONNX's defaults of the float attributes of each.
_PARAMETERS: dict[str, dict[str, float]] = {
    "LeakyRelu": {"alpha": 0.01},
    "Elu": {"alpha": 1.0},
    "Celu": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
}
_BINARY = (
    "Add", "Sub", "Mul", "Div", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual",
    "And", "Or", "Xor",
)  # fmt: skip


def _plain(node: Node) -> list[Value | None]:
    return [node.emit(node.op, [node.input(0)])]


def _parameterized(node: Node) -> list[Value | None]:
    attrs = {name: node.float_attr(name, value) for name, value in _PARAMETERS[node.op].items()}
    return [node.emit(node.op, [node.input(0)], attrs)]


def gelu(node: Node) -> list[Value | None]:
    return [
        node.emit("Gelu", [node.input(0)], {"approximate": node.text_attr("approximate", "none")})
    ]


def swish(node: Node) -> list[Value | None]:
    alpha = node.float_attr("alpha", 1.0)
    x = node.input(0)
    if alpha == 1.0:
        return [node.emit("Silu", [x])]
    factor = node.constant(np.array(alpha, np_dtype(x.type.dtype)))
    return [node.emit("Mul", [x, node.emit("Sigmoid", [node.emit("Mul", [x, factor])])])]


def clip(node: Node) -> list[Value | None]:
    """Bounds by attribute (opset 6), or by operand; computed bounds become Max and Min."""
    x = node.input(0)
    low, high = node.maybe(1), node.maybe(2)
    computed = [bound for bound in (low, high) if bound is not None and bound.constant is None]
    if computed:
        value = x if low is None else node.emit("Max", [x, low])
        return [value if high is None else node.emit("Min", [value, high])]
    limit = _F64_MAX if x.type.dtype == "f64" else _F32_MAX
    bounds = {
        "min": node.float_attr("min", -limit) if low is None else _bound(low, limit),
        "max": node.float_attr("max", limit) if high is None else _bound(high, limit),
    }
    return [node.emit("Clip", [x], bounds)]


def _bound(value: Value, limit: float) -> float:
    assert value.constant is not None
    if value.constant.size != 1:
        raise NotNative("a bound is no single number")
    bound = value.constant.reshape(()).item()
    if int(np.float64(bound)) != bound if isinstance(bound, int) else np.isnan(bound):
        raise NotNative(f"its bound {bound} has no exact float form")
    return float(np.clip(bound, -limit, limit))


def with_legacy_broadcast(node: Node, a: Value, b: Value) -> tuple[Value, Value]:
    """Before opset 7, b's dims could be aligned with a's from `axis` on."""
    if node.opset < 7 and node.int_attr("broadcast", 0) and node.has("axis"):
        rank, own = len(a.type.shape), len(b.type.shape)
        axis = node.axis("axis", rank - own, rank)
        b = node.reshape(b, [*b.type.shape, *[1] * (rank - axis - own)])
    return a, b


def _binary(node: Node) -> list[Value | None]:
    a, b = with_legacy_broadcast(node, node.input(0), node.input(1))
    return [node.emit(node.op, [a, b])]


def power(node: Node) -> list[Value | None]:
    """The exponent may have another dtype than the base, whose dtype the result has."""
    a, b = with_legacy_broadcast(node, node.input(0), node.input(1))
    if b.type.dtype != a.type.dtype:
        if not a.type.dtype.startswith("f"):
            raise NotNative(f"{a.type.dtype} to the power of {b.type.dtype}")
        b = cast_to(node, b, a.type.dtype)
    return [node.emit("Pow", [a, b])]


def mod(node: Node) -> list[Value | None]:
    return [node.emit("Mod", [node.input(0), node.input(1)], {"fmod": node.int_attr("fmod", 0)})]


def _chained(op: str) -> Converter:
    """Any number of operands, two at a time, first to last."""

    def convert(node: Node) -> list[Value | None]:
        value = node.input(0)
        for i in range(1, node.input_count):
            value = node.emit(op, [value, node.input(i)])
        return [value]

    return convert


def mean(node: Node) -> list[Value | None]:
    value = _chained("Add")(node)[0]
    assert value is not None
    if node.input_count == 1:
        return [value]
    count = node.constant(np.array(node.input_count, np_dtype(value.type.dtype)))
    return [node.emit("Div", [value, count])]


def prelu(node: Node) -> list[Value | None]:
    x, slope = node.input(0), node.input(1)
    if node.opset < 7 and slope.type.elements != 1 and len(slope.type.shape) == 1:
        slope = node.reshape(slope, [slope.type.elements, *[1] * (len(x.type.shape) - 2)])
    return [node.emit("PRelu", [x, slope])]


def where(node: Node) -> list[Value | None]:
    return [node.emit("Where", [node.input(0), node.input(1), node.input(2)])]


def cast(node: Node) -> list[Value | None]:
    return [cast_to(node, node.input(0), dtype_of(node.int_attr("to", 0)))]


def cast_like(node: Node) -> list[Value | None]:
    return [cast_to(node, node.input(0), node.input(1).type.dtype)]


def cast_to(node: Node, value: Value, dtype: str) -> Value:
    if dtype == value.type.dtype:
        return value
    return node.emit("Cast", [value], {"to": dtype})


def _table(
    names: tuple[str, ...], converter: Callable[[Node], list[Value | None]]
) -> dict[str, Converter]:
    return dict.fromkeys(names, converter)


CONVERTERS: dict[str, Converter] = {
    **_table(_PLAIN, _plain),
    **_table(tuple(_PARAMETERS), _parameterized),
    **_table(_BINARY, _binary),
    "Gelu": gelu,
    "Swish": swish,
    "Clip": clip,
    "Pow": power,
    "Mod": mod,
    "Max": _chained("Max"),
    "Min": _chained("Min"),
    "Sum": _chained("Add"),
    "Mean": mean,
    "PRelu": prelu,
    "Where": where,
    "Cast": cast,
    "CastLike": cast_like,
}
