"""Layers of integers from quantized models: what becomes int8, where quantizing goes, and what
stays with which reason."""

from __future__ import annotations

import numpy as np
import pytest

from coexec.compiler.ir import Array, Graph, Value
from coexec.compiler.ir.graph import Integers
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.ops.quantize_linear import along_axis, dequantized
from coexec.compiler.passes import (
    drop_fake_quantize,
    fuse_activation,
    recognize_fake_quantize,
    tabulate,
    use_integers,
)
from coexec.compiler.passes.test_support import Build, check_pass, ops_of, random_inputs

GRID = {"scale": 0.0625, "zero": 100.0}
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def _pair(b: Build, x: Value, scale: float, zero: np.generic, twice: bool = False) -> list[Value]:
    """x, quantized, and dequantized once or twice."""
    operands = [b.number(scale), b.constant(np.array(zero))]
    q = b.op("QuantizeLinear", x, *operands, axis=0)
    return [b.op("DequantizeLinear", q, *operands, axis=0) for _ in range(2 if twice else 1)]


def _weight(
    b: Build, *shape: int, scale: Array | None = None, zero: Array | None = None, axis: int = 0
) -> Value:
    """A constant with the integers it was dequantized from."""
    scale = np.float32(0.03125) * np.ones(shape[0], np.float32) if scale is None else scale
    zero = np.zeros(scale.shape, np.int8) if zero is None else zero
    limits = np.iinfo(zero.dtype)
    steps = b.rng.integers(limits.min, limits.max + 1, shape).astype(zero.dtype)
    broadcast = (along_axis(a, len(shape), axis) for a in (scale, zero))
    value = b.constant(dequantized(steps, *broadcast))
    value.integers = Integers(steps, scale, zero, axis)
    return value


@pytest.mark.parametrize("zero", [np.uint8(3), np.int8(-128), np.int8(0)])
def test_a_pair_becomes_one(zero: np.generic) -> None:
    b = Build()
    first, second = _pair(b, b.input(2, 70), 0.0625, zero, twice=True)
    graph = b.graph(b.op("Add", first, second))
    before = ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Add"]
    check_pass(graph, recognize_fake_quantize.run, before, ["FakeQuantize", "Add"])
    shift = 128.0 if zero.dtype == np.int8 else 0.0
    assert graph.layers[0].attrs == {"scale": 0.0625, "zero": float(zero) + shift}


def test_integers_that_are_an_output_stay() -> None:
    b = Build()
    x = b.input(2, 7)
    operands = [b.number(0.5), b.constant(np.array(9, np.uint8))]
    q = b.op("QuantizeLinear", x, *operands, axis=0)
    graph = b.graph(q, b.op("DequantizeLinear", q, *operands, axis=0))
    before = ["QuantizeLinear", "DequantizeLinear"]
    check_pass(graph, recognize_fake_quantize.run, before, ["QuantizeLinear", "FakeQuantize"])


def test_a_pair_with_two_scales_stays() -> None:
    b = Build()
    zero = b.constant(np.array(9, np.uint8))
    q = b.op("QuantizeLinear", b.input(2, 7), b.number(0.5), zero, axis=0)
    graph = b.graph(b.op("DequantizeLinear", q, b.number(0.25), zero, axis=0))
    names = ["QuantizeLinear", "DequantizeLinear"]
    report = check_pass(graph, recognize_fake_quantize.run, names, names)
    assert "another scale" in report.refused[0]


def _conv(weight_of: Build, x: Value, w: Value) -> Graph:
    b = weight_of
    quantized = b.op("FakeQuantize", x, **GRID)
    return b.graph(b.conv(quantized, w, b.weight(w.type.shape[0])))


def test_integers_of_the_model() -> None:
    b = Build()
    w = _weight(b, 9, 5, 1, 1)
    graph = _conv(b, b.input(1, 5, 6, 6), w)
    check_pass(graph, use_integers.run, ["FakeQuantize", "Conv"], ["FakeQuantize", "Conv"], **CLOSE)
    layer = graph.layers[1]
    assert [v and v.type.dtype for v in layer.inputs] == ["f32", "i8", "f32", None, "f32", "f32"]
    check_pass(graph, drop_fake_quantize.run, ["FakeQuantize", "Conv"], ["Conv"], **CLOSE)


def test_unsigned_weights_are_shifted() -> None:
    b = Build()
    w = _weight(b, 9, 5, 1, 1, zero=np.full(9, 128, np.uint8))
    graph = _conv(b, b.input(1, 5, 6, 6), w)
    assert not use_integers.run(graph).refused


@pytest.mark.parametrize(
    ("shape", "change", "reason"),
    [
        ((9, 5, 1, 1), {"zero": np.full(9, 3, np.int8)}, "beyond int8, -131..124"),
        ((5, 5, 1, 1), {"scale": np.ones(5, np.float32), "axis": 1}, "element of axis 1"),
        ((9, 5, 1, 1), {"scale": np.zeros(9, np.float32)}, "no positive number"),
        ((9, 9, 3, 3), {}, "Winograd in f32 is faster"),
        ((9, 3, 1, 1), {}, "too few input channels"),
    ],
)
def test_what_stays_f32(shape: tuple[int, ...], change: dict[str, Array], reason: str) -> None:
    b = Build()
    w = _weight(b, *shape, **change)  # type: ignore[arg-type]
    assert w.integers is not None
    w.integers.steps.flat[:2] = (-128, 127)
    graph = _conv(b, b.input(1, shape[1], 18, 18), w)
    names = ["FakeQuantize", "Conv"]
    report = check_pass(graph, use_integers.run, names, names)
    assert reason in report.refused[0]


def test_an_input_that_is_not_quantized() -> None:
    b = Build()
    graph = b.graph(b.gemm(b.op("Tanh", b.input(2, 8)), _weight(b, 9, 8)))
    report = check_pass(graph, use_integers.run, ["Tanh", "Gemm"], ["Tanh", "Gemm"])
    assert "its input is not quantized" in report.refused[0]


def test_quantizing_moves_through_a_pooling_into_the_layers() -> None:
    b = Build()
    x = b.op("FakeQuantize", b.input(1, 5, 12, 12), **GRID)
    window = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4, "dilations": [1, 1]}
    pooled = b.op("FakeQuantize", b.op("MaxPool", x, **window, ceil_mode=0), **GRID)
    both = [b.conv(pooled, _weight(b, 9, 5, 1, 1)) for _ in range(2)]
    graph = b.graph(*both)
    assert not use_integers.run(graph).refused
    before = ["FakeQuantize", "MaxPool", "FakeQuantize", "Conv", "Conv"]
    check_pass(graph, drop_fake_quantize.run, before, ["MaxPool", "Conv", "Conv"])


def test_a_nan_is_what_quantizing_later_changes() -> None:
    """Quantized before the pooling, it is the least value and loses to its window's others."""
    b = Build()
    x = b.op("FakeQuantize", b.input(1, 5, 2, 2), **GRID)
    window = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4, "dilations": [1, 1]}
    pooled = b.op("MaxPool", x, **window, ceil_mode=0)
    graph = b.graph(b.conv(pooled, _weight(b, 9, 5, 1, 1)))
    use_integers.run(graph)
    (array,) = random_inputs(graph)
    array[0, 0, 0, 0] = -100.0
    (least,) = interpret(graph, [array])
    array[0, 0, 0, 0] = np.nan
    np.testing.assert_array_equal(interpret(graph, [array])[0], least)
    drop_fake_quantize.run(graph)
    assert ops_of(graph) == ["MaxPool", "Conv"]
    assert not np.allclose(interpret(graph, [array])[0], least)


def test_quantizing_stays_where_another_reads_it() -> None:
    b = Build()
    x = b.op("FakeQuantize", b.input(1, 9, 6, 6), **GRID)
    graph = b.graph(b.op("Add", b.conv(x, _weight(b, 9, 9, 1, 1)), x))
    use_integers.run(graph)
    names = ["FakeQuantize", "Conv", "Add"]
    report = check_pass(graph, drop_fake_quantize.run, names, names, **CLOSE)
    assert "Add_" in report.refused[0]


@pytest.mark.parametrize(
    ("function", "attrs", "scale", "zero", "fused"),
    [
        ("Relu", {}, 0.0625, 0.0, True),
        ("Relu", {}, 0.0625, 1.0, False),
        ("Clip", {"min": 0.0, "max": 6.0}, 6 / 255, 0.0, True),
        ("Clip", {"min": 0.0, "max": 6.0}, 7 / 255, 0.0, False),
    ],
)
def test_an_activation_that_clamps_less_gives_way(
    function: str, attrs: dict[str, float], scale: float, zero: float, fused: bool
) -> None:
    b = Build()
    y = b.op(function, b.gemm(b.input(2, 8), b.weight(9, 8)), **attrs)
    graph = b.graph(b.op("FakeQuantize", y, scale=scale, zero=zero))
    before = ["Gemm", function, "FakeQuantize"]
    after = ["Gemm.FakeQuantize"] if fused else [f"Gemm.{function}", "FakeQuantize"]
    check_pass(graph, fuse_activation.run, before, after)
    assert ops_of(graph) == after


def _silu(b: Build, x: Value) -> Value:
    sigmoid = b.op("FakeQuantize", b.op("Sigmoid", x), scale=1 / 255, zero=0.0)
    return b.op("FakeQuantize", b.op("Mul", x, sigmoid), scale=0.03125, zero=9.0)


def test_a_function_of_one_quantized_tensor_becomes_a_table() -> None:
    b = Build()
    x = b.op("FakeQuantize", b.conv(b.input(1, 5, 6, 6), b.weight(9, 5, 1, 1)), **GRID)
    graph = b.graph(_silu(b, x))
    before = ["Conv", "FakeQuantize", "Sigmoid", "FakeQuantize", "Mul", "FakeQuantize"]
    check_pass(graph, tabulate.run, before, ["Conv", "FakeQuantize", "Lookup"])
    check_pass(
        graph, drop_fake_quantize.run, ["Conv", "FakeQuantize", "Lookup"], ["Conv", "Lookup"]
    )


def test_numbers_are_part_of_a_table() -> None:
    b = Build()
    x = b.op("FakeQuantize", b.input(3, 40), **GRID)
    y = b.op("Add", b.op("Erf", b.op("Div", x, b.number(1.4142135))), b.number(1.0))
    graph = b.graph(b.op("Mul", b.number(0.5), b.op("Mul", x, y)))
    before = ["FakeQuantize", "Div", "Erf", "Add", "Mul", "Mul"]
    check_pass(graph, tabulate.run, before, ["FakeQuantize", "Lookup"])


def test_what_others_read_gets_a_table_of_its_own() -> None:
    b = Build()
    x = b.op("FakeQuantize", b.input(1, 6, 4, 4), **GRID)
    sigmoid = b.op("Sigmoid", x)
    graph = b.graph(b.op("Mul", sigmoid, x), b.op("Softmax", sigmoid, axis=1))
    before = ["FakeQuantize", "Sigmoid", "Mul", "Softmax"]
    check_pass(graph, tabulate.run, before, ["FakeQuantize", "Lookup", "Lookup", "Softmax"])


def test_no_table_for_two_tensors_or_little_work() -> None:
    b = Build()
    x, other = (b.op("FakeQuantize", b.input(3, 4), **GRID) for _ in range(2))
    sums = b.op("FakeQuantize", b.op("Add", x, other), **GRID)
    scaled = b.op("FakeQuantize", b.op("Relu", x), scale=0.5, zero=0.0)
    spread = b.op("Add", b.op("Exp", b.op("FakeQuantize", b.input(1, 4), **GRID)), b.weight(3, 1))
    graph = b.graph(sums, scaled, spread)
    names = ops_of(graph)
    after = ["Lookup" if name == "Exp" else name for name in names]
    check_pass(graph, tabulate.run, names, after)
