"""Models with QuantizeLinear and DequantizeLinear, end to end: against ONNX Runtime, which computes
them node by node as ONNX defines them.

Scales are powers of two and values few, so that f32 sums are exact in any order: results must be
equal. With other scales, a sum that is nearly a tie may be rounded to either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, Graph
from coexec.compiler.native import Kernels
from coexec.compiler.onnx_import import import_model, prepare, signature_of
from coexec.compiler.partition import partition
from coexec.compiler.passes import PASSES, run_passes
from coexec.compiler.pipeline import CompileOptions, compile_model


class Model:
    """Grows an ONNX model; every tensor is called by its number."""

    def __init__(self, seed: int, exact: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.exact = exact
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.quantized: list[str] = []

    def add(self, op: str, *inputs: str, **attrs: Any) -> str:
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attrs))
        return name

    def constant(self, array: Array) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(onnx.numpy_helper.from_array(array, name))
        return name

    def input(self, *shape: int) -> str:
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, 1, shape))
        return name

    def scales(self, *shape: int, low: float, high: float) -> Array:
        scale = np.exp2(self.rng.uniform(np.log2(low), np.log2(high), shape))
        rounded: Array = np.exp2(np.rint(np.log2(scale))) if self.exact else scale
        return rounded.astype(np.float32)

    def quantize(self, x: str, step: float, dtype: type[np.generic] = np.uint8) -> str:
        """x to 8 bits and back."""
        limits = np.iinfo(dtype)  # type: ignore[type-var]
        zero = np.array(self.rng.integers(limits.min, limits.max + 1), dtype)
        if self.rng.random() < 0.5:  # as after a Relu
            zero[...] = limits.min
        operands = [self.constant(self.scales(low=step, high=2 * step)), self.constant(zero)]
        q = self.add("QuantizeLinear", x, *operands)
        self.quantized.append(q)
        return self.add("DequantizeLinear", q, *operands)

    def weight(self, *shape: int, per_channel: bool, symmetric: bool, axis: int = 0) -> str:
        channels = (shape[axis],) if per_channel else ()
        scale = self.scales(*channels, low=0.004, high=0.03)
        zero = np.zeros(channels, np.int8)
        if not symmetric:
            zero[...] = 3
        steps = self.rng.integers(-128, 128, shape).astype(np.int8)
        steps.flat[0] = -128
        operands = [self.constant(a) for a in (steps, scale, zero)]
        attrs = {"axis": axis} if per_channel else {}
        return self.add("DequantizeLinear", *operands, **attrs)

    def finish(self, *outputs: str) -> onnx.ModelProto:
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(self.nodes, "q", self.inputs, results, self.tensors)
        opset = helper.make_opsetid("", 13)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def _as_defined(model: onnx.ModelProto, feed: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(array) for array in session.run(None, feed)]


def _compiled(model: onnx.ModelProto) -> Graph:
    imported = import_model(prepare(model, signature_of(model).bind("model", {})))
    graph = partition(imported, Kernels(), "model")
    assert graph is not None
    run_passes(graph, PASSES, verified=True)
    return graph


def _results(graph: Graph, feed: dict[str, Array]) -> list[Array]:
    results = runner_of(graph).run(feed)
    return [results[value.name] for value in graph.outputs]


def _int8_layers(graph: Graph) -> int:
    weights = (layer.inputs[1] for layer in graph.layers if layer.op in ("Conv", "Gemm"))
    return sum(w is not None and w.type.dtype == "i8" for w in weights)


# Height, width, groups and dilation. None that f32 computes by Winograd's filtering, which rounds.
_CONVS = {"1x1": (1, 1, 1, 1), "3x1": (3, 1, 1, 1), "wide": (3, 3, 1, 2), "deep": (3, 3, 8, 1)}
_LAYERS = st.lists(
    st.sampled_from([*_CONVS, "Relu", "MaxPool", "Add", "Clip", "HardSwish"]),
    min_size=1,
    max_size=6,
)


def _grow(m: Model, layers: list[str], dtype: type[np.generic], per_channel: bool) -> str:
    """The last dequantized tensor. Every layer's result is quantized, but for some Relus."""
    x = skip = m.quantize(m.input(1, 8, 8, 8), 0.02, dtype)
    for kind in layers:
        symmetric = bool(m.rng.random() < 0.8)
        if kind == "Relu":
            x = m.add("Relu", x)
            continue
        if kind == "Clip":
            bounds = [m.constant(np.array(v, np.float32)) for v in (-1, 1)]
            x = m.add("Clip", x, *bounds)
        elif kind == "HardSwish":  # of numbers that f32 holds exactly
            parts = [m.constant(np.array(v, np.float32)) for v in (0.25, 0.5)]
            gate = m.add("Add", m.add("Mul", x, parts[0]), parts[1])
            x = m.add("Mul", x, m.quantize(m.add("Relu", gate), 0.01, dtype))
        elif kind == "MaxPool":
            x = m.add("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
        elif kind == "Add":
            x = m.add("Add", x, skip)
        else:
            height, width, group, dilation = _CONVS[kind]
            shape = (8, 8 // group, height, width)
            w = m.weight(*shape, per_channel=per_channel, symmetric=symmetric)
            operands = [x, w] if m.rng.random() < 0.5 else [x, w, _bias(m, 8)]
            pads = [height // 2 * dilation, width // 2 * dilation] * 2
            x = m.add("Conv", *operands, pads=pads, dilations=[dilation] * 2, group=group)
        skip = x = m.quantize(x, 0.03, dtype)
    return x


def _bias(m: Model, channels: int) -> str:
    steps = m.rng.integers(-500, 500, channels).astype(np.int32)
    scale = m.scales(low=2**-10, high=2**-10)
    return m.add("DequantizeLinear", m.constant(steps), m.constant(scale))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), _LAYERS, st.sampled_from([np.uint8, np.int8]), st.booleans())
def test_exact_where_sums_are(
    seed: int, layers: list[str], dtype: type[np.generic], per_channel: bool
) -> None:
    m = Model(seed, exact=True)
    x = _grow(m, layers, dtype, per_channel)
    features = m.add("Flatten", x)
    w = m.weight(8 * 64, 5, per_channel=per_channel, symmetric=True, axis=1)
    product = m.add("MatMul", features, w)
    model = m.finish(product, m.quantized[-1])  # integers that the model gives
    feed = {"x0": m.rng.normal(0, 2, (1, 8, 8, 8)).astype(np.float32)}
    graph = _compiled(model)
    assert _int8_layers(graph) >= 1
    got = _results(graph, feed)
    for ours, theirs in zip(got, _as_defined(model, feed), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_within_a_step_where_they_are_not(seed: int, per_channel: bool, relu: bool) -> None:
    m = Model(seed, exact=False)
    x = m.quantize(m.input(1, 12, 9, 9), 0.02)
    w = m.weight(16, 12, 1, 1, per_channel=per_channel, symmetric=True)
    y = m.add("Conv", x, w, _bias(m, 16))
    m.quantize(m.add("Relu", y) if relu else y, 0.03)
    model = m.finish(m.quantized[-1])
    feed = {"x0": m.rng.normal(0, 2, (1, 12, 9, 9)).astype(np.float32)}
    graph = _compiled(model)
    assert _int8_layers(graph) == 1
    (got,), (want,) = _results(graph, feed), _as_defined(model, feed)
    off = np.abs(got.astype(int) - want.astype(int))
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 0.01 * off.size


def test_the_report_names_each_layer(tmp_path: Path) -> None:
    m = Model(0, exact=True)
    x = m.quantize(m.input(1, 8, 8, 8), 0.02)
    weights = [m.weight(8, 8, 1, 1, per_channel=True, symmetric=one) for one in (True, False)]
    y = m.add("Conv", m.quantize(m.add("Conv", x, weights[0]), 0.03), weights[1])
    path = tmp_path / "m.onnx"
    onnx.save(m.finish(y), path)
    report = compile_model(path, tmp_path / "m.coexec", CompileOptions(profile=False))
    first, second = report.typed
    assert "int8, as the model says" in first
    assert "beyond int8" in second
    assert not report.undone


def test_weights_that_the_model_quantizes() -> None:
    """As exporters of networks trained with quantization write them."""
    m = Model(1, exact=True)
    x = m.quantize(m.input(2, 24), 0.02)
    scales = [m.constant(a) for a in (np.full(9, 2**-7, np.float32), np.zeros(9, np.int8))]
    w = m.constant(m.rng.uniform(-1, 1, (9, 24)).astype(np.float32))
    w = m.add("QuantizeLinear", w, *scales, axis=0)
    y = m.add("Gemm", x, m.add("DequantizeLinear", w, *scales, axis=0), transB=1)
    model = m.finish(y)
    graph = _compiled(model)
    assert [layer.op for layer in graph.layers] == ["Gemm"]
    assert _int8_layers(graph) == 1
    feed = {"x0": m.rng.normal(0, 2, (2, 24)).astype(np.float32)}
    np.testing.assert_array_equal(_results(graph, feed)[0], _as_defined(model, feed)[0])


def _network() -> onnx.ModelProto:
    """A small classifier in f32, with a shortcut."""
    m = Model(2, exact=False)

    def conv(x: str, channels: int, filters: int, size: int, **attrs: Any) -> str:
        w = m.rng.normal(0, (channels * size**2) ** -0.5, (filters, channels, size, size))
        b = m.constant(m.rng.normal(0, 0.1, filters).astype(np.float32))
        operands = [x, m.constant(w.astype(np.float32)), b]
        return m.add("Conv", *operands, pads=[size // 2] * 4, **attrs)

    x = m.add("Relu", conv(m.input(1, 3, 32, 32), 3, 16, 3, strides=[2, 2]))
    x = m.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = conv(m.add("Relu", conv(x, 16, 32, 1)), 32, 16, 1)
    x = m.add("Relu", m.add("Add", x, y))
    x = m.add("Flatten", m.add("GlobalAveragePool", x))
    w = m.constant(m.rng.normal(0, 0.3, (10, 16)).astype(np.float32))
    return m.finish(m.add("Gemm", x, w, transB=1))


class _Reader(CalibrationDataReader):
    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.left = [rng.normal(0, 1, (1, 3, 32, 32)).astype(np.float32) for _ in range(8)]

    def get_next(self) -> dict[str, Array]:
        return {"x0": self.left.pop()} if self.left else {}


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
def test_what_onnxruntime_quantizes(
    tmp_path: Path, activations: QuantType, form: QuantFormat
) -> None:
    """Weights of 7 bits for operators on integers: with 8 ONNX Runtime's may saturate."""
    plain, path = tmp_path / "m.onnx", tmp_path / "q.onnx"
    onnx.save(_network(), plain)
    quantize_static(
        plain,
        path,
        _Reader(),
        quant_format=form,
        per_channel=True,
        reduce_range=form == QuantFormat.QOperator,
        activation_type=activations,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(path)
    graph = _compiled(model)
    assert _int8_layers(graph) == 3  # the first convolution has three channels
    feed = {"x0": np.random.default_rng(4).normal(0, 1, (1, 3, 32, 32)).astype(np.float32)}
    got, want = _results(graph, feed)[0], _as_defined(model, feed)[0]
    steps = next(t for t in model.graph.initializer if t.name == f"{graph.outputs[0].name}_scale")
    step = float(onnx.numpy_helper.to_array(steps).reshape(()))
    assert np.abs(got - want).max() <= 1.5 * step
