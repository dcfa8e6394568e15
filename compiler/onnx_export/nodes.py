"""One layer as ONNX nodes. Most ops are ONNX's own; the table holds those that are not quite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from coexec.compiler.ir import Layer, ops
from coexec.compiler.ir.activation import GELU, PARAMETERIZED
from coexec.compiler.ir.graph import np_dtype
from coexec.compiler.onnx_export.attention import add_attention
from coexec.compiler.onnx_export.builder import Names, Nodes

_INT64_MIN = np.iinfo(np.int64).min


def add_layer(nodes: Nodes, layer: Layer, inputs: Names, outputs: Names) -> None:
    """inputs and outputs: names in the layer's order."""
    special = _SPECIAL.get(layer.op)
    if special is None:
        nodes.add(layer.op, inputs, outputs, **layer.attrs)
    else:
        special(nodes, layer, list(inputs), list(outputs))


def _without(layer: Layer, *names: str) -> dict[str, Any]:
    return {k: v for k, v in layer.attrs.items() if k not in names}


def _scalar(nodes: Nodes, layer: Layer, value: Any) -> str:
    """A constant of the dtype of the layer's first operand."""
    assert layer.inputs[0] is not None
    dtype = np_dtype(layer.inputs[0].type.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        value = int(max(limits.min, min(limits.max, value)))
    return nodes.constant(np.asarray(value, dtype))


def _linear(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    """Conv, ConvTranspose, Gemm: a residual is added, then comes the activation."""
    inputs += [""] * (4 - len(inputs))
    residual, activation = inputs[3], str(layer.attrs["activation"])
    made = nodes.fresh() if residual or activation else outputs[0]
    _multiply(nodes, layer, inputs, made)
    if residual:
        made = nodes.add("Add", [made, residual], None if activation else outputs)
    if activation:
        names = PARAMETERIZED[activation][0] if activation in PARAMETERIZED else ()
        given = (layer.attrs["activation_alpha"], layer.attrs["activation_beta"])
        attrs = dict(zip(names, given, strict=False))
        if activation in GELU:
            attrs = {"approximate": "tanh" if activation == "GeluTanh" else "none"}
            activation = "Gelu"
        unary = Layer(activation, layer.name, layer.outputs, layer.outputs, attrs)
        add_layer(nodes, unary, [made], outputs)


def _multiply(nodes: Nodes, layer: Layer, inputs: list[str], made: str) -> None:
    operands = inputs[:3] if inputs[2] else inputs[:2]
    if layer.op != "Gemm":
        kept = _without(layer, "activation", "activation_alpha", "activation_beta")
        nodes.add(layer.op, operands, [made], **kept)
        return
    x = layer.inputs[0]
    assert x is not None
    if len(x.type.shape) == 2:
        nodes.add("Gemm", operands, [made], transB=1)
        return
    weight = layer.inputs[1]
    assert weight is not None
    if weight.constant is None:
        turned = nodes.add("Transpose", [inputs[1]], perm=[1, 0])
    else:
        turned = nodes.constant(np.ascontiguousarray(weight.constant.T))
    product = nodes.add("MatMul", [inputs[0], turned], None if inputs[2] else [made])
    if inputs[2]:
        nodes.add("Add", [product, inputs[2]], [made])


def _recurrent(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    nodes.add(layer.op, [*inputs[:4], "", *inputs[4:]], outputs, **layer.attrs)


def _clip(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    limits = [_scalar(nodes, layer, layer.attrs[k]) for k in ("min", "max")]
    nodes.add("Clip", [*inputs, *limits], outputs)


def _fake_quantize(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    scale = nodes.constant(np.asarray(layer.attrs["scale"], np.float32))
    zero = nodes.constant(np.asarray(layer.attrs["zero"], np.uint8))
    made = nodes.add("QuantizeLinear", [*inputs, scale, zero])
    nodes.add("DequantizeLinear", [made, scale, zero], outputs)


def _lookup(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    scale = nodes.constant(np.asarray(layer.attrs["scale"], np.float32))
    zero = nodes.constant(np.asarray(layer.attrs["zero"], np.uint8))
    steps = nodes.add("QuantizeLinear", [inputs[0], scale, zero])
    index = nodes.add("Cast", [steps], to=TensorProto.INT32)
    nodes.add("Gather", [inputs[1], index], outputs, axis=0)


def _silu(nodes: Nodes, _layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    nodes.add("Mul", [*inputs, nodes.add("Sigmoid", inputs)], outputs)


def _resize(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    scales = nodes.constant(np.asarray(layer.attrs["scales"], np.float32))
    nodes.add("Resize", [inputs[0], "", scales], outputs, **_without(layer, "scales"))


def _slice(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    starts, ends, steps = (_int_list(layer, name) for name in ("starts", "ends", "steps"))
    ends = [
        _INT64_MIN if end == -1 and step < 0 else end for end, step in zip(ends, steps, strict=True)
    ]
    operands = [nodes.ints(v) for v in (starts, ends, list(range(len(ends))), steps)]
    nodes.add("Slice", [inputs[0], *operands], outputs)


def _pad(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    operands = [nodes.ints(_int_list(layer, "pads")), _scalar(nodes, layer, layer.attrs["value"])]
    nodes.add("Pad", [inputs[0], *operands], outputs, mode=layer.attrs["mode"])


def _reduce(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    axes = _int_list(layer, "axes")
    assert layer.inputs[0] is not None
    rank = len(layer.inputs[0].type.shape)
    if layer.op == "ReduceMean" and rank == 4 and axes == [2, 3] and layer.attrs["keepdims"]:
        nodes.add("GlobalAveragePool", inputs, outputs)  # which ONNX Runtime knows blocked
        return
    nodes.add(layer.op, [*inputs, nodes.ints(axes)], outputs, keepdims=layer.attrs["keepdims"])


def _top_k(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    k = layer.attrs["k"]
    assert isinstance(k, int)
    nodes.add("TopK", [*inputs, nodes.ints([k])], outputs, **_without(layer, "k"))


def _cast(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    to = helper.np_dtype_to_tensor_dtype(np_dtype(str(layer.attrs["to"])))
    nodes.add("Cast", inputs, outputs, to=to)


_WITH_OPERAND = {"Split": "split", "Reshape": "shape", "Expand": "shape", "Tile": "repeats"}


def _operand(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    """An attribute of ours that ONNX takes as an operand."""
    moved = _WITH_OPERAND[layer.op]
    more = {"allowzero": 1} if layer.op == "Reshape" else {}
    operand = nodes.ints(_int_list(layer, moved))
    nodes.add(layer.op, [*inputs, operand], outputs, **_without(layer, moved), **more)


def _int_list(layer: Layer, name: str) -> list[int]:
    value = layer.attrs[name]
    assert isinstance(value, list)
    return [int(v) for v in value]


_SPECIAL: dict[str, Callable[[Nodes, Layer, list[str], list[str]], None]] = {
    "Conv": _linear, "ConvTranspose": _linear, "Gemm": _linear, "LSTM": _recurrent,
    "GRU": _recurrent, "Clip": _clip, "FakeQuantize": _fake_quantize, "Lookup": _lookup,
    "Silu": _silu, "Resize": _resize, "Slice": _slice, "Pad": _pad, "TopK": _top_k, "Cast": _cast,
    "Attention": add_attention,
    **{name: _reduce for name in ops.BY_NAME if name.startswith("Reduce")},
    **dict.fromkeys(_WITH_OPERAND, _operand),
}  # fmt: skip
