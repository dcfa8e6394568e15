"""Random small networks with zeros in their weights, through the whole compiler: they compute what
ONNX Runtime does, and threads, or what ran before, change no bit."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from coexec.compiler.onnx_import.conftest import run_by_onnxruntime
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

_CHANNELS = (1, 3, 8, 13, 16)
_FUNCTIONS = ("Relu", "Sigmoid", "HardSwish", "Tanh", "Softplus")

_Shape = tuple[int, int, int, int]


class _Net:
    """Grows node by node; shapes: of the values computed so far, the latest last."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**16)))
        side = st.integers(3, 14)
        channels = draw(st.sampled_from(_CHANNELS))
        self.shapes: dict[str, _Shape] = {"x": (1, channels, draw(side), draw(side))}
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def weight(self, *shape: int) -> str:
        fan_in = max(1, int(np.prod(shape[1:])))
        array = self.rng.normal(0, fan_in**-0.5, shape)
        if len(shape) > 1:
            array[self.rng.random(shape) < self.draw(st.sampled_from([0.0, 0.5, 0.95, 1.0]))] = 0
        name = f"w{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def add(self, op: str, *inputs: str, shape: _Shape, **attrs: Any) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attrs))
        self.shapes[name] = shape

    def conv(self, x: str) -> None:
        n, c, h, w = self.shapes[x]
        k, stride = self.draw(st.sampled_from([1, 3, 5])), self.draw(st.integers(1, 2))
        group = self.draw(st.sampled_from([1, 1, c]))
        out = c if group > 1 else self.draw(st.sampled_from(_CHANNELS))
        operands = [x, self.weight(out, c // group, k, k), self.weight(out)]
        shape = (n, out, (h - 1) // stride + 1, (w - 1) // stride + 1)
        pads, strides = [k // 2] * 4, [stride] * 2
        self.add("Conv", *operands, shape=shape, pads=pads, strides=strides, group=group)

    def grow(self, x: str) -> None:
        shape = n, c, h, w = self.shapes[x]
        same = [v for v, other in self.shapes.items() if other == shape]
        beside = [v for v, (_, _, *sides) in self.shapes.items() if sides == [h, w]]
        op = self.draw(
            st.sampled_from(["Conv", "Conv", "Add", "Concat", "MaxPool", "Softmax", "f"])
        )
        if op == "Conv":
            self.conv(x)
        elif op == "Add":
            self.add("Add", x, self.draw(st.sampled_from(same)), shape=shape)
        elif op == "Concat":
            other = self.draw(st.sampled_from(beside))
            joined = (n, c + self.shapes[other][1], h, w)
            self.add("Concat", x, other, shape=joined, axis=1)
        elif op == "MaxPool":
            halves = (n, c, (h - 1) // 2 + 1, (w - 1) // 2 + 1)
            window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
            self.add("MaxPool", x, shape=halves, **window)
        elif op == "Softmax":
            self.add("Softmax", x, shape=shape, axis=self.draw(st.integers(1, 3)))
        else:
            self.add(self.draw(st.sampled_from(_FUNCTIONS)), x, shape=shape)


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    net = _Net(draw)
    for _ in range(draw(st.integers(2, 9))):
        net.grow(draw(st.sampled_from(list(net.shapes)[-2:])))
    names = list(net.shapes)
    outputs = {names[-1], draw(st.sampled_from(names[1:]))}
    x, *results = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, net.shapes[name])
        for name in ("x", *sorted(outputs))
    )
    graph = helper.make_graph(net.nodes, "random", [x], results, net.tensors)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(networks(), st.integers(0, 2**16))
def test_a_network_computes_what_onnxruntime_does(model: onnx.ModelProto, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    x, other = (rng.normal(0, 1, shape).astype(np.float32) for _ in range(2))
    want = run_by_onnxruntime(model, {"x": x})
    with TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "m.onnx")
        options = CompileOptions(profile=False)
        report = compile_model(Path(folder) / "m.onnx", Path(folder) / "m.coexec", options)
        assert not report.undone
        compiled = format.load(report.target)
        alone, two = Runner(compiled), Runner(compiled, threads=2)
    two.run({"x": other})
    first, second = alone.run({"x": x}), two.run({"x": x})
    for output, array in zip(model.graph.output, want, strict=True):
        got = first[output.name]
        np.testing.assert_allclose(got, array, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(got, second[output.name])
