"""Activations that exporters spell out are recognised, and their near misses are not."""

from __future__ import annotations

import math

import pytest

from coexec.compiler.ir import Value
from coexec.compiler.passes import recognize_activation
from coexec.compiler.passes.test_support import Build, check_pass, ops_of, random_inputs

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _relu6_of_plus_3(b: Build, x: Value) -> Value:
    return b.op("Clip", b.op("Add", x, b.number(3.0)), min=0.0, max=6.0)


def test_silu_and_mish() -> None:
    b = Build()
    x = b.input(2, 5)
    silu = b.op("Mul", b.op("Sigmoid", x), x)
    mish = b.op("Mul", x, b.op("Tanh", b.op("Softplus", x)))
    graph = b.graph(silu, mish)
    before = ["Sigmoid", "Mul", "Softplus", "Tanh", "Mul"]
    check_pass(graph, recognize_activation.run, before, ["Silu", "Mish"], **CLOSE)


def test_hard_swish_in_four_spellings() -> None:
    b = Build()
    x = b.input(2, 5)
    gate = b.op("HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5)
    spelled = [
        b.op("Mul", x, gate),
        b.op("Div", b.op("Mul", x, _relu6_of_plus_3(b, x)), b.number(6.0)),
        b.op("Mul", b.op("Mul", x, _relu6_of_plus_3(b, x)), b.number(1.0 / 6.0)),
        b.op("Mul", x, b.op("Div", _relu6_of_plus_3(b, x), b.number(6.0))),
    ]
    graph = b.graph(*spelled)
    check_pass(graph, recognize_activation.run, ops_of(graph), ["HardSwish"] * 4, **CLOSE)


def test_hard_sigmoid() -> None:
    b = Build()
    graph = b.graph(b.op("Div", _relu6_of_plus_3(b, b.input(2, 5)), b.number(6.0)))
    check_pass(graph, recognize_activation.run, ["Add", "Clip", "Div"], ["HardSigmoid"], **CLOSE)


@pytest.mark.parametrize("half_first", [False, True])
def test_gelu(half_first: bool) -> None:
    b = Build()
    x = b.input(2, 5)
    gate = b.op("Add", b.op("Erf", b.op("Div", x, b.number(math.sqrt(2.0)))), b.number(1.0))
    if half_first:
        y = b.op("Mul", b.op("Mul", x, b.number(0.5)), gate)
    else:
        y = b.op("Mul", b.op("Mul", x, gate), b.number(0.5))
    graph = b.graph(y)
    check_pass(graph, recognize_activation.run, ops_of(graph), ["Gelu"], **CLOSE)


def test_near_misses_stay() -> None:
    b = Build()
    x, z = b.input(2, 5), b.input(2, 5)
    outs = [
        b.op("Mul", z, b.op("Sigmoid", x)),
        b.op("Div", b.op("Mul", x, _relu6_of_plus_3(b, x)), b.number(5.0)),
        b.op("Mul", x, b.op("HardSigmoid", x, alpha=0.2, beta=0.5)),
        b.op("Div", b.number(6.0), x),
        b.op("Div", x, b.op("Sigmoid", x)),
    ]
    graph = b.graph(*outs)
    kept = ops_of(graph)
    check_pass(graph, recognize_activation.run, kept, kept)


def test_a_gate_that_broadcasts_its_operand_stays() -> None:
    b = Build()
    x = b.input(1, 5)
    product = b.op("Mul", x, b.op("Sigmoid", x))
    graph = b.graph(b.op("Mul", product, b.constant(b.rng.random((2, 5)).astype("f4"))))
    assert len(random_inputs(graph)) == 1
    before, after = ["Sigmoid", "Mul", "Mul"], ["Silu", "Mul"]
    check_pass(graph, recognize_activation.run, before, after, **CLOSE)
