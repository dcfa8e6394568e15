"""bf16 weights: rounding, which weights get it, and that a compiled model computes with exactly
the rounded weights; where the machine multiplies bf16, with inputs rounded likewise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coexec.compiler.describe import random_inputs
from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, Graph, TensorType, Value
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.verify import verify
from coexec.compiler.ir.window import window_attrs
from coexec.compiler.passes import sparsify
from coexec.compiler.passes.test_support import Build
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.quantize import quantize
from coexec.compiler.quantize.bf16 import round_to_bf16, to_bf16
from coexec.kernels import _kernels
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner


def _by_hand(bits: int) -> int:
    """The bf16 bits nearest to f32 bits, ties to even; NaN stays NaN."""
    if bits & 0x7FFFFFFF > 0x7F800000:
        return bits >> 16 | 0x40
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 & 0xFFFF


@given(st.integers(0, 2**32 - 1))
def test_rounding_is_to_nearest_even(bits: int) -> None:
    array = np.array([bits], np.uint32).view(np.float32)
    got, want = round_to_bf16(array), np.array([_by_hand(bits)], np.uint16)
    if np.isnan(array[0]):
        assert np.isnan(got[0])
    else:
        assert got.view(np.uint16)[0] == want[0]


def _widened(x: Array) -> Array:
    """x rounded to bf16, as f32."""
    return round_to_bf16(x).astype(np.float32)


def _check_rounded_weights(graph: Graph, x: Array) -> None:
    """By the kernels, weights as bf16 give the bits of the same weights widened to f32; or, where
    the kernel multiplies bf16, what rounded x gives, up to the order of sums."""
    name = graph.inputs[0].name
    runner = runner_of(graph)
    (narrow,) = runner.run({name: x}).values()
    for layer in graph.layers:
        for value in layer.inputs:
            if value is not None and value.constant is not None and value.type.dtype == "bf16":
                value.constant = value.constant.astype(np.float32)
                value.type = type(value.type)("f32", value.type.shape, value.type.layout)
    multiplies = any("bf16dot" in kernel for kernel in runner.kernels.values())
    (wide,) = runner_of(graph).run({name: _widened(x) if multiplies else x}).values()
    if multiplies:
        np.testing.assert_allclose(narrow, wide, rtol=0, atol=1e-5 * np.abs(wide).max())
    else:
        assert (narrow == wide).all()


def _zeroed(b: Build, *shape: int) -> Array:
    """A weight of blocks of zeros, as bcr has them."""
    array = b.rng.normal(0, 1, shape).astype(np.float32)
    array[:, b.rng.random(shape[1]) < 0.8] = 0
    return array


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("zeros", [False, True])
def test_a_product_is_that_of_its_rounded_weights(rows: int, zeros: bool) -> None:
    b = Build(rows)
    x = b.input(rows, 96)
    w = b.constant(_zeroed(b, 65, 96)) if zeros else b.weight(65, 96)
    y = b.op("Gemm", x, w, b.weight(65), **NO_ACTIVATION)
    graph = b.graph(y)
    assert [w.dtype for w in to_bf16(graph)] == ["bf16"]
    sparsify.run(graph)
    assert (w.type.layout != "dense") == zeros
    verify(graph, "rewritten")
    _check_rounded_weights(graph, b.rng.normal(0, 1, (rows, 96)).astype(np.float32))


@pytest.mark.parametrize("group", [1, 8])
def test_a_convolution_is_that_of_its_rounded_weights(group: int) -> None:
    b = Build(group)
    x = b.input(1, 8, 9, 9)
    window = window_attrs([3, 3], pads=[1, 1, 1, 1])
    y = b.op("Conv", x, b.weight(16, 8 // group, 3, 3), **window, group=group, **NO_ACTIVATION)
    graph = b.graph(y)
    to_bf16(graph)
    _check_rounded_weights(graph, b.rng.normal(0, 1, (1, 8, 9, 9)).astype(np.float32))


@pytest.mark.parametrize(("op", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_recurrent_weights(op: str, gates: int) -> None:
    b = Build(gates)
    attrs = {"linear_before_reset": 1} if op == "GRU" else {}
    x = b.input(5, 1, 24)
    w, r = b.weight(1, gates * 16, 24), b.weight(1, gates * 16, 16)
    y = b.op(op, x, w, r, hidden_size=16, direction="forward", **attrs)
    graph = b.graph(y)
    assert [(w.operand, w.dtype) for w in to_bf16(graph)] == [("w", "bf16"), ("r", "bf16")]
    inputs = b.rng.normal(0, 1, (5, 1, 24)).astype(np.float32)
    want = interpret(graph, [inputs])[0]
    (got,) = runner_of(graph).run({x.name: inputs}).values()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    _check_rounded_weights(graph, inputs)


def test_what_moves_elements_keeps_bf16() -> None:
    b = Build(0)
    indices = Value("indices", TensorType("i64", (3,)))
    b.inputs.append(indices)
    table = b.constant(round_to_bf16(b.rng.normal(0, 1, (7, 4)).astype(np.float32)))
    assert table.type.dtype == "bf16"
    rows = b.op("Gather", table, indices, axis=0)
    assert rows.type.dtype == "bf16"
    both = b.op("Concat", rows, table, axis=0)
    runner = runner_of(b.graph(both))
    picked = np.array([5, 0, 6])
    (got,) = runner.run({indices.name: picked}).values()
    assert table.constant is not None
    want = np.concatenate([table.constant[picked], table.constant])
    assert (got.view(np.uint16) == want.view(np.uint16)).all()


def test_what_does_not_fit_stays_f32() -> None:
    b = Build(0)
    x = b.input(1, 8)
    big = b.rng.normal(0, 1, (4, 8)).astype(np.float32)
    big[0, 0] = np.finfo(np.float32).max
    shared = b.weight(8, 8)
    y = b.op("Gemm", x, b.constant(big), **NO_ACTIVATION)
    z = b.op("Gemm", b.op("Add", x, shared), shared, **NO_ACTIVATION)
    report = quantize(b.graph(y, z), "bf16", [], interpret)
    assert [w.dtype for w in report.weights] == ["f32", "f32"]
    assert "beyond bf16's largest" in report.lines()[0]
    assert "reads it too" in report.lines()[1]


def test_compiled_end_to_end(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    w = rng.normal(0, 1, (64, 48)).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>\n'
        "net (float[1, 64] x) => (float[1, 48] y) { y = MatMul(x, w) }"
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    path, target = tmp_path / "net.onnx", tmp_path / "net.coexec"
    path.write_bytes(model.SerializeToString())
    frames = rng.normal(0, 1, (4, 1, 64)).astype(np.float32)
    np.savez(tmp_path / "frames.npz", x=frames)
    options = CompileOptions(dtype="bf16", calibration=tmp_path / "frames.npz")
    report = compile_model(path, target, options)
    assert "bf16, 3072 weights" in report.typed[0]
    error = float(report.typed[-1].rpartition(" ")[2])
    assert 1e-4 < error < 2**-8
    loaded = format.load(target)
    assert report.description is not None
    isa = _kernels.host_isa()
    multiplies = isa in ("bf16", "amx")
    kernel = f"gemm_bf16dot_dense_{isa}" if multiplies else "gemm_bf16_dense_"
    assert report.description.layers[0].kernel.startswith(kernel)
    assert report.description.constants_bytes == 64 * 48 * 2
    x = random_inputs(loaded.program)["x"]
    got = Runner(loaded).run({"x": x})["y"]
    taken = (_widened(x) if multiplies else x).astype(np.float64)
    np.testing.assert_allclose(got, taken @ _widened(w), rtol=1e-5, atol=1e-5)
