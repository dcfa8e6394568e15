"""Networks of known architecture with seeded weights, as ONNX files.

Batch norm is folded, as exporters do. Weights are drawn so that activations keep their scale, and
no trained weights are needed: speed depends on shapes and zeros alone.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class _Builder:
    """Collects nodes and weights; each method returns the name of what it adds."""

    def __init__(self, name: str, shape: list[int], seed: int) -> None:
        self._name = name
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)

    def reseed(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def weight(self, shape: list[int], scale: float) -> str:
        array = (self._rng.standard_normal(shape) * scale).astype(np.float32)
        return self.constant(f"w{len(self._weights)}", array)

    def constant(self, name: str, array: Any) -> str:
        self._weights.setdefault(name, numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], outputs: int = 1, **attrs: Any) -> str:
        names = [f"v{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(op, inputs, names, **attrs))
        return names[0]

    def conv(
        self, x: str, cin: int, cout: int, k: int, stride: int = 1, group: int = 1, gain: float = 2
    ) -> str:
        w = self.weight([cout, cin // group, k, k], (gain / (cin // group * k * k)) ** 0.5)
        b = self.weight([cout], 0.1)
        return self.node(
            "Conv", [x, w, b], kernel_shape=[k, k], strides=[stride, stride],
            pads=[k // 2] * 4, group=group,
        )  # fmt: skip

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def relu6(self, x: str) -> str:
        low, high = (self.constant(f"c{v}", np.float32(v)) for v in (0, 6))
        return self.node("Clip", [x, low, high])

    def classifier(self, x: str, cin: int, classes: int) -> str:
        pooled = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        w = self.weight([classes, cin], cin**-0.5)
        return self.node("Gemm", [pooled, w, self.weight([classes], 0.1)], transB=1)

    def finish(self, output: str) -> onnx.ModelProto:
        out = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(
            self._nodes, self._name, [self._input], [out], list(self._weights.values())
        )
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
        return onnx.shape_inference.infer_shapes(model)


def resnet50(seed: int = 0) -> onnx.ModelProto:
    """He et al. 2015; bottleneck blocks with the stride on the 3x3 convolution."""
    b = _Builder("resnet50", [1, 3, 224, 224], seed)
    x = b.relu(b.conv("input", 3, 64, 7, 2))
    x = b.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    cin = 64
    for stage, blocks in enumerate([3, 4, 6, 3]):
        width = 64 << stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            y = b.relu(b.conv(x, cin, width, 1))
            y = b.relu(b.conv(y, width, width, 3, stride))
            y = b.conv(y, width, width * 4, 1, gain=0.5)
            skip = b.conv(x, cin, width * 4, 1, stride, gain=1) if block == 0 else x
            x = b.relu(b.node("Add", [y, skip]))
            cin = width * 4
    return b.finish(b.classifier(x, cin, 1000))


def mobilenet_v2(seed: int = 0, head_seed: int | None = None) -> onnx.ModelProto:
    """Sandler et al. 2018, table 2, width 1.0. Another head_seed: another head, same backbone."""
    b = _Builder("mobilenet_v2", [1, 3, 224, 224], seed)
    x = b.relu6(b.conv("input", 3, 32, 3, 2))
    cin = 32
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
             (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip
    for expand, cout, repeats, first_stride in table:
        for i in range(repeats):
            stride, hidden = (first_stride if i == 0 else 1), cin * expand
            y = b.relu6(b.conv(x, cin, hidden, 1)) if expand > 1 else x
            y = b.relu6(b.conv(y, hidden, hidden, 3, stride, group=hidden))
            y = b.conv(y, hidden, cout, 1, gain=1)
            x = b.node("Add", [x, y]) if stride == 1 and cin == cout else y
            cin = cout
    x = b.relu6(b.conv(x, cin, 1280, 1))
    if head_seed is not None:
        b.reseed(head_seed)
    return b.finish(b.classifier(x, 1280, 1000))


def gru_2x1024(seed: int = 0, steps: int = 20, features: int = 152) -> onnx.ModelProto:
    """Two GRU layers of 1024 units, as GRIM (arXiv 2108.11033) measures on TIMIT."""
    b = _Builder("gru_2x1024", [steps, 1, features], seed)
    x, width, hidden = "input", features, 1024
    for _ in range(2):
        w = b.weight([1, 3 * hidden, width], width**-0.5)
        r = b.weight([1, 3 * hidden, hidden], hidden**-0.5)
        bias = b.weight([1, 6 * hidden], 0.1)
        y = b.node("GRU", [x, w, r, bias], 2, hidden_size=hidden, linear_before_reset=1)
        x = b.node("Squeeze", [y, b.constant("axes", np.array([1], np.int64))])
        width = hidden
    return b.finish(x)


ZOO: dict[str, Callable[[], onnx.ModelProto]] = {
    "resnet50": resnet50,
    "mobilenet_v2": mobilenet_v2,
    "gru_2x1024": gru_2x1024,
}


def write(name: str, folder: Path) -> Path:
    """Build network `name` into folder/NAME.onnx unless it is there already."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(ZOO[name](), path)
    return path
