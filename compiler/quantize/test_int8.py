"""int8 products: quantizing, the kernels against the reference, what stays f32 and why."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.describe import random_inputs
from coexec.compiler.errors import CompileError
from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, AttrValue, Graph, IrError, TensorType
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.ir.verify import verify
from coexec.compiler.ir.window import window_attrs
from coexec.compiler.native import Kernels
from coexec.compiler.passes import integers
from coexec.compiler.passes.test_support import Build
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.quantize import int8, quantize
from coexec.compiler.quantize.int8 import activation_scale, quantized_weight
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner


@given(st.floats(-1e30, 1e30), st.floats(0, 1e30))
def test_a_range_holds_zero_and_its_ends(low: float, width: float) -> None:
    scale, zero = activation_scale(low, low + width)
    assert zero == int(zero)
    assert 0 <= zero <= 255
    if scale != 1:
        assert (0 - zero) * scale <= min(low, 0) + scale
        assert (255 - zero) * scale >= max(low + width, 0) - scale


def test_a_weight_is_within_half_a_step() -> None:
    w = np.random.default_rng(0).normal(0, 1, (7, 50)).astype(np.float32)
    w[3] = 0
    integers, scale = quantized_weight(w)
    assert np.abs(integers).max() == 127
    assert (np.abs(integers * scale[:, None] - w) <= 0.5001 * scale[:, None]).all()


def _examples(b: Build, *shape: int, count: int = 4) -> list[list[Array]]:
    return [[b.rng.normal(0.5, 1, shape).astype(np.float32)] for _ in range(count)]


def _run(graph: Graph, x: Array) -> Array:
    result: Array = runner_of(graph).run({graph.inputs[0].name: x})[graph.outputs[0].name]
    return result


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 70), st.integers(1, 90),
    st.booleans(), st.booleans(), st.sampled_from(["", "Relu", "Tanh"]),
)  # fmt: skip
def test_kernels_compute_the_reference(
    seed: int, rows: int, features: int, inputs: int, biased: bool, residual: bool, act: str
) -> None:
    b = Build(seed)
    x = b.input(rows, inputs)
    rest = [
        b.weight(features) if biased else None,
        b.weight(rows, features) if residual else None,
    ]
    y = b.op("Gemm", x, b.weight(features, inputs), *rest, **{**NO_ACTIVATION, "activation": act})
    graph = b.graph(y)
    examples = _examples(b, rows, inputs)
    with mock.patch.object(int8, "ERROR_MAX", math.inf):  # few inputs may be off by more
        report = quantize(graph, "int8", examples, interpret)
    verify(graph, "rewritten")
    assert [w.dtype for w in report.weights] == ["int8"]
    other = b.rng.normal(0, 3, (rows, inputs)).astype(np.float32)  # beyond the range too
    want = interpret(graph, [other])[0]
    atol = 0.0 if act != "Tanh" else 1e-6
    np.testing.assert_allclose(_run(graph, other), want, rtol=1e-6, atol=max(atol, 1e-5))


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 33), st.integers(1, 3),
    st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.sampled_from([1, 2]),
    st.sampled_from(["", "Relu", "HardSwish"]),
)  # fmt: skip
def test_convolutions_compute_the_reference(
    seed: int, filters: int, channels: int, kernel: int, stride: int, pad: int, dilation: int,
    group: int, act: str,
) -> None:  # fmt: skip
    b = Build(seed)
    x = b.input(2, channels * group, 9, 11)
    w = b.weight(filters * group, channels, kernel, kernel)
    window = window_attrs(
        [kernel] * 2, pads=[pad] * 4, strides=[stride] * 2, dilations=[dilation] * 2
    )
    attrs = {**window, **NO_ACTIVATION, "group": group, "activation": act}
    graph = b.graph(b.op("Conv", x, w, b.weight(filters * group), **attrs))
    examples = _examples(b, *x.type.shape)
    with (
        mock.patch.object(int8, "ERROR_MAX", math.inf),
        mock.patch.object(integers, "why_slower", return_value=""),
    ):
        report = quantize(graph, "int8", examples, interpret)
    verify(graph, "rewritten")
    assert [w.dtype for w in report.weights] == ["int8"]
    other = b.rng.normal(0, 3, x.type.shape).astype(np.float32)
    want = interpret(graph, [other])[0]
    np.testing.assert_allclose(_run(graph, other), want, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("hidden", [1, 17, 40])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", ["LSTM", "GRU", "GRU reset first"])
def test_recurrent_layers_compute_the_reference(op: str, direction: str, hidden: int) -> None:
    b = Build(hidden)
    ways, gates = 2 if direction == "bidirectional" else 1, 4 if op == "LSTM" else 3
    attrs = {} if op == "LSTM" else {"linear_before_reset": 1 - op.count("first")}
    x = b.input(6, 3, 13)
    w, r = b.weight(ways, gates * hidden, 13), b.weight(ways, gates * hidden, hidden)
    rest = [b.weight(ways, 2 * gates * hidden), b.weight(ways, 3, hidden)]
    y = b.op(op.split()[0], x, w, r, *rest, hidden_size=hidden, direction=direction, **attrs)
    graph = b.graph(y)
    with mock.patch.object(int8, "ERROR_MAX", math.inf):
        report = quantize(graph, "int8", _examples(b, 6, 3, 13), interpret)
    verify(graph, "rewritten")
    assert [(w.operand, w.dtype) for w in report.weights] == [("w", "int8"), ("r", "int8")]
    other = b.rng.normal(0, 1, (6, 3, 13)).astype(np.float32)
    want = interpret(graph, [other])[0]
    # A state halfway between two steps may go to either: 1/2048 of a weight.
    np.testing.assert_allclose(_run(graph, other), want, atol=3e-3)


def test_a_recurrent_layer_may_keep_one_weight() -> None:
    b = Build(5)
    x = b.input(4, 1, 16)
    sparse = b.rng.normal(0, 1, (1, 48, 16)).astype(np.float32)
    sparse[:, :, b.rng.random(16) < 0.8] = 0
    y = b.op(
        "GRU", x, b.weight(1, 48, 16), b.constant(sparse),
        hidden_size=16, direction="forward", linear_before_reset=1,
    )  # fmt: skip
    graph = b.graph(y)
    report = quantize(graph, "int8", _examples(b, 4, 1, 16), interpret)
    verify(graph, "rewritten")
    assert [w.dtype for w in report.weights] == ["int8", "f32"]
    other = b.rng.normal(0, 1, (4, 1, 16)).astype(np.float32)
    np.testing.assert_allclose(_run(graph, other), interpret(graph, [other])[0], atol=1e-5)


def test_scales_must_fit_their_weights() -> None:
    f32, i8 = partial(TensorType, "f32"), partial(TensorType, "i8")
    conv: dict[str, AttrValue] = {**window_attrs([1, 1]), "group": 1, **NO_ACTIVATION}
    operands = [f32((1, 4, 3, 3)), i8((8, 4, 1, 1)), None, None]
    infer = BY_NAME["Conv"].infer_types
    assert infer([*operands, f32((8,)), f32((2,))], conv) == [f32((1, 8, 3, 3))]
    with pytest.raises(IrError, match=r"Conv: w_scale must be .*8"):
        infer([*operands, f32((4,)), f32((2,))], conv)
    with pytest.raises(IrError, match="scales are for w of i8"):
        infer([operands[0], f32((8, 4, 1, 1)), None, None, f32((8,)), f32((2,))], conv)
    gru: dict[str, AttrValue] = {"hidden_size": 5, "direction": "forward", "linear_before_reset": 1}
    operands = [f32((2, 1, 4)), f32((1, 15, 4)), i8((1, 15, 5)), None, None]
    infer = BY_NAME["GRU"].infer_types
    assert len(infer([*operands, None, f32((1, 15)), None], gru)) == 2
    with pytest.raises(IrError, match="GRU: r_scale must be"):
        infer(operands, gru)
    with pytest.raises(IrError, match="GRU: x_scale is for w of i8"):
        infer([*operands, None, f32((1, 15)), f32((2,))], gru)


def test_later_layers_see_what_earlier_ones_compute() -> None:
    b = Build(1)
    x = b.input(8, 64)
    h = b.gemm(x, b.weight(96, 64), b.weight(96))
    graph = b.graph(b.gemm(b.op("Relu", h), b.weight(32, 96)))
    report = quantize(graph, "int8", _examples(b, 8, 64), interpret)
    assert [w.dtype for w in report.weights] == ["int8", "int8"]
    assert all(0 < w.error < 0.02 for w in report.weights)
    assert report.output_error is not None
    assert 0 < report.output_error < 0.03
    assert report.warnings == []


def test_outputs_that_are_off_by_more_than_a_layer_may_be_are_told_of() -> None:
    b = Build(1)
    x, w = b.input(8, 64), b.weight(96, 64)
    assert w.constant is not None
    near = b.constant(w.constant + b.rng.normal(0, 0.02, (96, 64)).astype(np.float32))
    graph = b.graph(b.op("Sub", b.gemm(x, w), b.gemm(x, near)))
    report = quantize(graph, "int8", _examples(b, 8, 64), interpret)
    assert [w.dtype for w in report.weights] == ["int8", "int8"]
    assert report.output_error is not None
    assert report.output_error > 0.05
    (warning,) = report.warnings
    assert f"int8 moves the outputs by {report.output_error:.3g} on" in warning
    assert "more than the 0.05" in warning


def test_maps_too_small_for_winograd_become_int8() -> None:
    b = Build(4)
    graph = b.graph(b.conv(b.input(1, 16, 4, 4), b.weight(16, 16, 3, 3), pad=1))
    assert not Kernels().step(graph.layers[0]).kernel.startswith("winograd")
    report = quantize(graph, "int8", _examples(b, 1, 16, 4, 4), interpret)
    assert [w.dtype for w in report.weights] == ["int8"]


def test_an_input_without_elements_stays_f32() -> None:
    b = Build(5)
    graph = b.graph(b.gemm(b.input(0, 16), b.weight(16, 16)))
    (weight,) = quantize(graph, "int8", _examples(b, 0, 16), interpret).weights
    assert (weight.dtype, weight.note) == ("f32", "its input has no elements")


def test_what_stays_f32_says_why() -> None:
    b = Build(2)
    x = b.input(4, 8, 8, 8)
    alone = b.conv(x, b.weight(8, 1, 3, 3), group=8, pad=1)
    wide = b.conv(b.conv(alone, b.weight(8, 8, 3, 3), pad=1), b.weight(8, 8, 1, 1))
    y = b.op("Reshape", b.conv(wide, b.weight(4, 8, 1, 1)), shape=[4, 256])
    sparse = b.rng.normal(0, 1, (16, 256)).astype(np.float32)
    sparse[:, b.rng.random(256) < 0.9] = 0
    coarse = np.full((16, 16), 1e-3, np.float32)
    coarse[:, 0] = 1e3  # one column that takes all the steps, and an input that is always 0
    hidden = b.gemm(y, b.constant(sparse))
    first = np.ones(16, np.float32)
    first[0] = 0
    masked = b.op("Mul", hidden, b.constant(first))
    graph = b.graph(b.gemm(masked, b.constant(coarse)))
    report = quantize(graph, "int8", _examples(b, 4, 8, 8, 8), interpret)
    notes = [w.note for w in report.weights]
    assert notes == [
        "too few input channels to sum in pairs",
        "Winograd in f32 is faster",
        "",
        "too few filters to pay for quantizing its input",
        "it is sparse, and int8 kernels are dense",
        "beyond 0.05",
    ]
    assert [w.dtype for w in report.weights] == ["f32", "f32", "int8", "f32", "f32", "f32"]


def test_without_inputs_it_is_refused() -> None:
    b = Build(3)
    graph = b.graph(b.gemm(b.input(1, 8), b.weight(8, 8)))
    with pytest.raises(CompileError, match="give --calibration"):
        quantize(graph, "int8", [], interpret)


def test_compiled_end_to_end(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    w = rng.normal(0, 1, (64, 48)).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>\n'
        "net (float[5, 64] x) => (float[5, 48] y) { y = MatMul(x, w) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    path, target = tmp_path / "net.onnx", tmp_path / "net.coexec"
    path.write_bytes(model.SerializeToString())
    np.savez(tmp_path / "frames.npz", x=rng.normal(0, 1, (4, 5, 64)).astype(np.float32))
    options = CompileOptions(dtype="int8", calibration=tmp_path / "frames.npz")
    report = compile_model(path, target, options)
    assert "int8, 3072 weights" in report.typed[0]
    assert report.warnings == []
    loaded = format.load(target)
    assert report.description is not None
    assert report.description.layers[0].kernel.startswith("gemm_i8_dense_")
    x = np.clip(random_inputs(loaded.program)["x"], -2.5, 2.5)  # inside the range seen
    got = Runner(loaded).run({"x": x})["y"]
    assert np.linalg.norm(got - x @ w) < 0.02 * np.linalg.norm(x @ w)
    many = Runner(loaded, threads=2).run({"x": x})["y"]
    assert (got == many).all()
    with mock.patch("coexec.compiler.quantize.ERROR_MAX", 1e-9):
        (warning,) = compile_model(path, target, options).warnings
    assert warning.startswith("net: int8 moves the outputs by")
