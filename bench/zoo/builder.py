"""What the networks of the zoo are put together from."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
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

    def conv3d(
        self,
        x: str,
        cin: int,
        cout: int,
        k: tuple[int, ...],
        strides: tuple[int, ...] = (1, 1, 1),
        gain: float = 2,
    ) -> str:
        w = self.weight([cout, cin, *k], (gain / (cin * k[0] * k[1] * k[2])) ** 0.5)
        b = self.weight([cout], 0.1)
        pads = [size // 2 for size in k] * 2
        return self.node("Conv", [x, w, b], kernel_shape=k, strides=strides, pads=pads)

    def up_conv(self, x: str, cin: int, cout: int) -> str:
        """Twice the height and width, by a transposed 2x2 convolution."""
        w = self.weight([cin, cout, 2, 2], (1 / cin) ** 0.5)
        b = self.weight([cout], 0.1)
        return self.node("ConvTranspose", [x, w, b], kernel_shape=[2, 2], strides=[2, 2])

    def upsample(self, x: str) -> str:
        """Twice the height and width, each pixel repeated."""
        scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        return self.node("Resize", [x, "", scales], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric")  # fmt: skip

    def silu(self, x: str) -> str:
        return self.node("Mul", [x, self.node("Sigmoid", [x])])

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def relu6(self, x: str) -> str:
        low, high = (self.constant(f"c{v}", np.float32(v)) for v in (0, 6))
        return self.node("Clip", [x, low, high])

    def classifier(self, x: str, cin: int, classes: int) -> str:
        return self.gemm(self.node("Flatten", [self.node("GlobalAveragePool", [x])]), cin, classes)

    def gemm(self, x: str, cin: int, cout: int) -> str:
        w = self.weight([cout, cin], cin**-0.5)
        return self.node("Gemm", [x, w, self.weight([cout], 0.1)], transB=1)

    def reshape(self, x: str, shape: list[int]) -> str:
        name = f"shape{'x'.join(map(str, shape))}"
        return self.node("Reshape", [x, self.constant(name, np.array(shape, np.int64))])

    def linear(self, x: str, cin: int, cout: int) -> str:
        product = self.node("MatMul", [x, self.weight([cin, cout], cin**-0.5)])
        return self.node("Add", [product, self.weight([cout], 0.1)])

    def layer_norm(self, x: str, width: int) -> str:
        scale = self.constant(f"ones{width}", np.ones(width, np.float32))
        return self.node("LayerNormalization", [x, scale, self.weight([width], 0.1)], axis=-1)

    def gelu(self, x: str) -> str:
        root, one, half = (self.constant(f"c{v}", np.float32(v)) for v in (2**0.5, 1, 0.5))
        erf = self.node("Erf", [self.node("Div", [x, root])])
        return self.node("Mul", [self.node("Mul", [x, self.node("Add", [erf, one])]), half])

    def attention(self, x: str, tokens: int, width: int, heads: int, mask: str) -> str:
        """Multi-head self-attention as PyTorch exports it; mask "": none."""
        size = width // heads
        joined = self.reshape(self.linear(x, width, 3 * width), [1, tokens, 3, heads, size])
        joined = self.node("Transpose", [joined], perm=[2, 0, 3, 1, 4])
        q, k, v = (
            self.node("Gather", [joined, self.constant(f"i{i}", np.array(i, np.int64))], axis=0)
            for i in range(3)
        )
        scores = self.node("MatMul", [q, self.node("Transpose", [k], perm=[0, 1, 3, 2])])
        scores = self.node("Mul", [scores, self.constant("scale", np.float32(size**-0.5))])
        if mask:
            scores = self.node("Add", [scores, mask])
        y = self.node("MatMul", [self.node("Softmax", [scores], axis=-1), v])
        y = self.node("Transpose", [y], perm=[0, 2, 1, 3])
        return self.linear(self.reshape(y, [1, tokens, width]), width, width)

    def finish(self, output: str) -> onnx.ModelProto:
        out = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(
            self._nodes, self._name, [self._input], [out], list(self._weights.values())
        )
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
        return onnx.shape_inference.infer_shapes(model)
