"""Activations that exporters spell out become one op: Silu, Mish, HardSwish, HardSigmoid, Gelu.

A chain of Mul and Div is read as a product of factors and one number. Silu and Mish compute the
same steps as before. HardSwish, HardSigmoid and Gelu multiply where the chain divided, or in
another order, so the last bits may change."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from coexec.compiler.ir import AttrValue, Graph, Layer, Value
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import result, scalar
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite


@dataclass
class _Product:
    number: float = 1.0
    factors: list[Value] = field(default_factory=list)
    inner: list[Layer] = field(default_factory=list)  # Mul and Div that only serve this product


class _Match(NamedTuple):
    root: Layer
    op: str
    attrs: dict[str, AttrValue]
    x: Value


def _near(a: float | None, b: float) -> bool:
    """Equal as far as exporters write their constants: in f32, or with seven digits."""
    return a is not None and math.isclose(a, b, rel_tol=1e-6)


def _multiply(links: Links, value: Value, product: _Product, root: bool = False) -> None:
    """Multiplies the product by the value, taking Mul and Div apart."""
    number, layer = scalar(value), links.producer(value)
    if number is not None:
        product.number *= number
        return
    if layer is None or layer.op not in ("Mul", "Div") or not (root or links.read_once(value)):
        product.factors.append(value)
        return
    a, b = layer.inputs
    assert a is not None
    assert b is not None
    divisor = scalar(b)
    if layer.op == "Div" and not divisor:
        product.factors.append(value)
        return
    product.inner.append(layer)
    _multiply(links, a, product)
    if layer.op == "Div" and divisor:
        product.number /= divisor
    else:
        _multiply(links, b, product)


def _operand_of(links: Links, value: Value, op: str) -> tuple[Layer, Value] | None:
    layer = links.producer(value)
    if layer is None or layer.op != op or layer.inputs[0] is None:
        return None
    return layer, layer.inputs[0]


def _plus(links: Links, value: Value, number: float) -> Value | None:
    """x when the value is x + number."""
    layer = links.producer(value)
    if layer is None or layer.op != "Add":
        return None
    a, b = layer.inputs
    return a if _near(scalar(b), number) else b if _near(scalar(a), number) else None


def _clipped_plus_3(links: Links, value: Value) -> Value | None:
    """x when the value is clip(x + 3, 0, 6)."""
    found = _operand_of(links, value, "Clip")
    if found is None:
        return None
    attrs = Attrs(found[0].attrs)
    if attrs.f("min") != 0.0 or not _near(attrs.f("max"), 6.0):
        return None
    return _plus(links, found[1], 3.0)


def _gate_hard_sigmoid(links: Links, value: Value) -> Value | None:
    found = _operand_of(links, value, "HardSigmoid")
    if found is None:
        return None
    attrs = Attrs(found[0].attrs)
    fits = _near(attrs.f("alpha"), 1.0 / 6.0) and attrs.f("beta") == 0.5
    return found[1] if fits else None


def _gate_sigmoid(links: Links, value: Value) -> Value | None:
    found = _operand_of(links, value, "Sigmoid")
    return found[1] if found else None


def _gate_mish(links: Links, value: Value) -> Value | None:
    tanh = _operand_of(links, value, "Tanh")
    softplus = _operand_of(links, tanh[1], "Softplus") if tanh else None
    return softplus[1] if softplus else None


def _gate_gelu(links: Links, value: Value) -> Value | None:
    """x when the value is erf(x / sqrt(2)) + 1."""
    plus = _plus(links, value, 1.0)
    erf = _operand_of(links, plus, "Erf") if plus is not None else None
    if erf is None:
        return None
    inner = _Product()
    _multiply(links, erf[1], inner)
    fits = len(inner.factors) == 1 and _near(inner.number, math.sqrt(0.5))
    return inner.factors[0] if fits else None


# number, gate: product is number * x * gate(x), and the op that is.
_GATED: list[tuple[float, Callable[[Links, Value], Value | None], str, dict[str, AttrValue]]] = [
    (1.0, _gate_sigmoid, "Silu", {}),
    (1.0, _gate_mish, "Mish", {}),
    (1.0, _gate_hard_sigmoid, "HardSwish", {}),
    (1.0 / 6.0, _clipped_plus_3, "HardSwish", {}),
    (0.5, _gate_gelu, "Gelu", {"approximate": "none"}),
]
_HARD_SIGMOID: dict[str, AttrValue] = {"alpha": 1.0 / 6.0, "beta": 0.5}


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op not in ("Mul", "Div"):
        return None
    product = _Product()
    _multiply(links, result(layer), product, root=True)
    if len(product.factors) == 1 and _near(product.number, 1.0 / 6.0):
        x = _clipped_plus_3(links, product.factors[0])
        return _Match(layer, "HardSigmoid", _HARD_SIGMOID, x) if x is not None else None
    if len(product.factors) != 2:
        return None
    for number, gate, op, attrs in _GATED:
        for x, gated in (product.factors, product.factors[::-1]):
            if _near(product.number, number) and gate(links, gated) is x:
                return _Match(layer, op, attrs, x)
    return None


def _check(_links: Links, match: _Match) -> str:
    x, y = match.x.type, result(match.root).type
    return "" if x == y else f"it broadcasts {match.x.name}, {x}, to {y}"


def _rewrite(links: Links, match: _Match) -> None:
    """The root becomes the op; what only served the chain is left to drop_dead."""
    match.root.op, match.root.attrs = match.op, dict(match.attrs)
    links.change(match.root, inputs=[match.x])


def run(graph: Graph) -> PassReport:
    return Rewrite("recognize_activation", _pattern, _check, _rewrite).run(graph)
