"""Layers as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper

from coexec.compiler.ir import Layer, TensorType, Value
from coexec.compiler.ir.graph import np_dtype
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.onnx_export.builder import Nodes
from coexec.compiler.onnx_export.nodes import add_layer

OPSET = 20
_IR_VERSION = 9


def to_onnx(
    layers: Sequence[Layer], inputs: Sequence[Value], outputs: Sequence[Value]
) -> onnx.ModelProto:
    """A model that computes `outputs` from `inputs` by native layers, in the order given.
    Constants go in with the elements they hold now, whatever their layout."""
    nodes = Nodes()
    names = {value: f"in/{i}" for i, value in enumerate(inputs)}
    for i, layer in enumerate(layers):
        assert layer.op in BY_NAME, layer.op
        nodes.prefix = f"{i}/"
        operands = [_operand(nodes, names, value) for value in layer.inputs]
        for value in layer.outputs:
            if value is not None:
                names[value] = nodes.fresh()
        add_layer(nodes, layer, operands, [names[v] if v else "" for v in layer.outputs])
    graph = helper.make_graph(
        nodes.nodes,
        "coexec",
        [_info(names[value], value.type) for value in inputs],
        [_info(names[value], value.type) for value in outputs],
        initializer=nodes.tensors,
    )
    opset = helper.make_opsetid("", OPSET)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION)
    return model


def layer_of_node(name: str) -> int | None:
    """The index of the layer that a node came from, by the name it was given here, or that ONNX
    Runtime made of it or of one of its results. None for a name of another making."""
    for word in name.split():  # "fused 3/7"
        head, slash, _ = word.partition("/")
        if slash and head.isdecimal():
            return int(head)
    return None


def _operand(nodes: Nodes, names: dict[Value, str], value: Value | None) -> str:
    if value is None:
        return ""
    if value not in names:
        assert value.constant is not None, value.name
        names[value] = nodes.constant(np.asarray(value.constant))
    return names[value]


def _info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(np_dtype(type.dtype))
    return helper.make_tensor_value_info(name, dtype, type.shape)
