"""The demo's networks: PyTorch modules to train, block pruning, and their ONNX files.

The ONNX graphs are written node by node, so that the four perception files hold the same
backbone: the same nodes with the same bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

Array = NDArray[np.float32]
Shape = list[int | str]  # a name is a dimension of any size

SOUND_HIDDEN = 128


class ConvBlock(nn.Module):
    """Convolution, batch normalization, an optional residual, Relu."""

    def __init__(self, inputs: int, outputs: int, stride: int, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return torch.relu(y + x if self.residual else y)


class Perception(nn.Module):
    """One backbone and four heads: kind, box, mask and count of a picture [N, 3, 96, 96]."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict(
            {
                "c1": ConvBlock(3, 16, 2),
                "c2": ConvBlock(16, 32, 2),
                "c3": ConvBlock(32, 48, 1),
                "c4": ConvBlock(48, 48, 1, residual=True),
                "c5": ConvBlock(48, 80, 2),
                "c6": ConvBlock(80, 80, 1, residual=True),
            }
        )
        self.classify = nn.ModuleDict({"conv": ConvBlock(80, 48, 1), "out": nn.Linear(48, 5)})
        self.locate = nn.ModuleDict(
            {
                "conv": nn.Conv2d(80, 8, 1),
                "hidden": nn.Linear(8 * 12 * 12, 32),
                "out": nn.Linear(32, 4),
            }
        )
        self.segment = nn.ModuleDict({"conv": ConvBlock(80, 32, 1), "out": nn.Conv2d(32, 16, 1)})
        self.count = nn.ModuleDict({"conv": ConvBlock(80, 48, 1), "out": nn.Linear(48, 5)})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for block in self.backbone.values():
            x = block(x)
        kind = self.classify["out"](self.classify["conv"](x).mean((2, 3)))
        where = torch.relu(self.locate["conv"](x)).flatten(1)
        box = self.locate["out"](torch.relu(self.locate["hidden"](where)))
        mask = nn.functional.pixel_shuffle(self.segment["out"](self.segment["conv"](x)), 4)
        count = self.count["out"](self.count["conv"](x).mean((2, 3)))
        return {"kind": kind, "box": box, "mask": mask[:, 0], "count": count}


class Sound(nn.Module):
    """A GRU over a log mel spectrum [N, 40, 32]; the last state names the sound."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.gru = nn.GRU(32, SOUND_HIDDEN, batch_first=True)
        self.out = nn.Linear(SOUND_HIDDEN, kinds)

    def forward(self, x: Tensor) -> Tensor:
        state: Tensor = self.gru(x)[1][0]
        logits: Tensor = self.out(state)
        return logits


@dataclass(frozen=True)
class PruneRule:
    """Keep `density` of a weight, seen as [M, K]: in strips of `rows` rows, whole columns go."""

    density: float
    rows: int = 8


PERCEPTION_RULES = {
    "backbone.c2.conv.weight": PruneRule(0.4),
    "backbone.c3.conv.weight": PruneRule(0.2),
    "backbone.c4.conv.weight": PruneRule(0.15),
    "backbone.c5.conv.weight": PruneRule(0.15),
    "backbone.c6.conv.weight": PruneRule(0.12),
    "classify.conv.conv.weight": PruneRule(0.12),
    "locate.hidden.weight": PruneRule(0.15),
    "segment.conv.conv.weight": PruneRule(0.2),
    "count.conv.conv.weight": PruneRule(0.15),
}
SOUND_RULES = {
    "gru.weight_ih_l0": PruneRule(0.3, rows=16),
    "gru.weight_hh_l0": PruneRule(0.12, rows=16),
}


def column_mask(weight: Tensor, rule: PruneRule, progress: float) -> Tensor:
    """Ones where `weight` is kept when `progress` (0 to 1) of the pruning is done.

    Within each strip of rows the columns with the least norm go first; the threshold is the
    layer's. The ramp is that of Zhu and Gupta, "To prune, or not to prune" (2017), section 3.
    """
    flat = weight.detach().reshape(weight.shape[0], -1)
    norms = flat.reshape(-1, rule.rows, flat.shape[1]).norm(dim=1)
    density = rule.density + (1 - rule.density) * (1 - progress) ** 3
    kept = max(1, round(density * norms.numel()))
    mask = (norms >= norms.flatten().topk(kept).values[-1]).float()
    return mask.repeat_interleave(rule.rows, 0).reshape(weight.shape)


def folded(block: nn.Module) -> tuple[Array, Array]:
    """The block's convolution with its batch normalization folded in: weight and bias."""
    assert isinstance(block, ConvBlock)
    norm = block.norm
    assert norm.running_var is not None
    assert norm.running_mean is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = block.conv.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    return weight.detach().numpy().astype(np.float32), bias.detach().numpy().astype(np.float32)


class GraphWriter:
    """Collects nodes and weights of one ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Add a constant. A pruned negative weight is -0.0 by now; it is stored as 0.0."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value + 0), name))
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        """Add a node with one output, `name`."""
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, name: str, x: str, weight: Array, bias: Array, stride: int = 1) -> str:
        """Add a convolution with a kernel of 1x1 or 3x3 and the padding that keeps the size."""
        side = weight.shape[2]
        inputs = [x, self.weight(f"{name}.weight", weight), self.weight(f"{name}.bias", bias)]
        return self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=[side, side],
            strides=[stride, stride],
            pads=[side // 2] * 4,
        )

    def block(self, name: str, x: str, block: nn.Module) -> str:
        """Add a ConvBlock."""
        assert isinstance(block, ConvBlock)
        y = self.conv(name, x, *folded(block), stride=block.conv.stride[0])
        if block.residual:
            y = self.node("Add", [y, x], f"{name}.sum")
        return self.node("Relu", [y], f"{name}.relu")

    def linear(self, name: str, x: str, layer: nn.Module) -> str:
        """Add a fully connected layer."""
        assert isinstance(layer, nn.Linear)
        weight = self.weight(f"{name}.weight", layer.weight.detach().numpy())
        bias = self.weight(f"{name}.bias", layer.bias.detach().numpy())
        return self.node("Gemm", [x, weight, bias], name, transB=1)

    def save(self, path: Path, inputs: Mapping[str, Shape], output: str, shape: Shape) -> None:
        """Check the graph and write it to `path`."""
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            self.weights,
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=8, producer_name="coexec train_demo"
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def _head(writer: GraphWriter, net: Perception, head: str, x: str) -> tuple[str, Shape]:
    """Add one head on the backbone's output `x`; its output's name and shape."""
    if head in ("classify", "count"):
        layers = net.classify if head == "classify" else net.count
        output = "kind" if head == "classify" else "count"
        y = writer.block(f"{head}.conv", x, layers["conv"])
        y = writer.node("GlobalAveragePool", [y], f"{head}.mean")
        y = writer.linear(f"{head}.out", writer.node("Flatten", [y], f"{head}.flat"), layers["out"])
        return writer.node("Softmax", [y], output, axis=1), ["n", 5]
    conv = net.locate["conv"] if head == "locate" else net.segment["out"]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()
    if head == "locate":
        y = writer.node("Relu", [writer.conv("locate.conv", x, weight, bias)], "locate.relu")
        y = writer.node("Flatten", [y], "locate.flat")
        y = writer.linear("locate.hidden", y, net.locate["hidden"])
        y = writer.node("Relu", [y], "locate.hidden.relu")
        y = writer.linear("locate.out", y, net.locate["out"])
        return writer.node("Sigmoid", [y], "box"), ["n", 4]
    y = writer.block("segment.conv", x, net.segment["conv"])
    y = writer.conv("segment.out", y, weight, bias)
    y = writer.node("DepthToSpace", [y], "segment.pixels", blocksize=4, mode="CRD")
    return writer.node("Sigmoid", [y], "mask"), ["n", 1, 48, 48]


def save_perception(net: Perception, folder: Path) -> None:
    """Write scene_classify, scene_locate, scene_segment and scene_count.onnx."""
    for head in ("classify", "locate", "segment", "count"):
        writer = GraphWriter()
        x = "image"
        for name, block in net.backbone.items():
            x = writer.block(f"backbone.{name}", x, block)
        output, shape = _head(writer, net, head, x)
        writer.save(folder / f"scene_{head}.onnx", {"image": ["n", 3, 96, 96]}, output, shape)


def _onnx_gates(value: Tensor) -> Array:
    """PyTorch stacks a GRU's gates r z n; ONNX wants z r h."""
    reset, update, new = value.detach().chunk(3)
    gates: Array = torch.cat([update, reset, new]).numpy()
    return gates


def save_sound(net: Sound, folder: Path) -> None:
    """Write sound_command.onnx."""
    writer = GraphWriter()
    gru = net.gru
    bias = np.concatenate([_onnx_gates(gru.bias_ih_l0), _onnx_gates(gru.bias_hh_l0)])
    x = writer.node("Transpose", ["features"], "frames", perm=[1, 0, 2])
    weights = [
        writer.weight("gru.weight", _onnx_gates(gru.weight_ih_l0)[None]),
        writer.weight("gru.recurrence", _onnx_gates(gru.weight_hh_l0)[None]),
        writer.weight("gru.bias", bias[None]),
    ]
    node = helper.make_node(
        "GRU",
        [x, *weights],
        ["", "gru.state"],
        name="gru",
        hidden_size=SOUND_HIDDEN,
        linear_before_reset=1,
    )
    writer.nodes.append(node)
    shape = writer.weight("state.shape", np.array([1, SOUND_HIDDEN], np.int64))
    y = writer.linear("out", writer.node("Reshape", ["gru.state", shape], "state"), net.out)
    output = writer.node("Softmax", [y], "kind", axis=1)
    writer.save(
        folder / "sound_command.onnx",
        {"features": [1, 40, 32]},
        output,
        [1, net.out.out_features],
    )
