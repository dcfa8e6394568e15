"""What a converter does not take, node by node, without the optimiser in front of it."""

import numpy as np
import onnx
import pytest

from coexec.compiler.ir import TensorType, Value
from coexec.compiler.ir.graph import dtype_name
from coexec.compiler.onnx_import.conftest import OneNode
from coexec.compiler.onnx_import.converters import CONVERTERS
from coexec.compiler.onnx_import.node import Node, NotNative

_X = np.ones((1, 4, 4, 4), np.float32)
_W = np.ones((4, 1, 2, 2), np.float32)
_I = np.int64
_Z = np.zeros(1, _I)


def _node(case: OneNode) -> Node:
    values = [
        None
        if array is None
        else Value(
            f"x{i}",
            TensorType(dtype_name(array.dtype), array.shape),
            array if i in case.constants else None,
        )
        for i, array in enumerate(case.operands)
    ]
    assert isinstance(case.outputs, int)
    outputs = [f"y{i}" for i in range(case.outputs)]
    names = [f"x{i}" if value else "" for i, value in enumerate(values)]
    proto = onnx.helper.make_node(case.op, names, outputs, **case.attrs)
    return Node(proto, case.opset, values)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (OneNode("Relu", [None]), "operand 0 is missing"),
        (OneNode("Relu", [np.array(["a"], object)]), "Relu: x must be"),
        (OneNode("Add", [_X, _X.astype(np.int32)]), "dtype differs"),
        (OneNode("Pow", [_X.astype(np.int32), _X]), "i32 to the power of f32"),
        (OneNode("Clip", [_X, np.ones(2, np.float32)], constants=(1,)), "no single number"),
        (OneNode("Clip", [_X, np.array(np.nan, np.float32)], constants=(1,)), "no exact float"),
        (OneNode("Conv", [_X, _X[0, 0]]), "its window does not fit"),
        (
            OneNode(
                "ConvTranspose",
                [_X, _X[:, :, :2, :2].reshape(4, 1, 2, 2)],
                {"output_shape": [9, 9]},
            ),
            "larger than its windows reach",
        ),
        (OneNode("Dropout", [_X], opset=6), "drops elements at random"),
        (OneNode("Dropout", [_X, None, np.array(True)], constants=(2,)), "drops elements"),
        (OneNode("Dropout", [_X], outputs=2), "its mask is used"),
        (OneNode("Concat", [_X, _X], {"axis": 7}), "axis 7 is outside a tensor of rank 4"),
        (OneNode("Split", [_X], {"split": [1, 1]}, opset=11, outputs=2), "do not make up 1"),
        (OneNode("Slice", [_X]), "no starts or no ends"),
        (
            OneNode(
                "Slice", [_X, *(np.array([v], _I) for v in (0, 1, 0, 0))], constants=(1, 2, 3, 4)
            ),
            "a step is 0",
        ),
        (OneNode("Slice", [_X, np.zeros(1, _I), np.ones(1, _I)]), "starts: known only at run time"),
        (
            OneNode("Slice", [_X], {"starts": [0, 0], "ends": [1, 1], "axes": [1, -3]}, opset=9),
            "name a dim twice",
        ),
        (OneNode("Pad", [_X]), "it has no pads"),
        (OneNode("Pad", [_X, np.zeros(3, _I)], constants=(1,)), "3 pads for 4 axes"),
        (OneNode("Pad", [_X, np.ones(8, _I)], {"mode": "wrap"}, constants=(1,)), "mode wrap"),
        (OneNode("Gather", [_X, np.array([9], _I)], constants=(1,)), "an index lies outside dim 0"),
        (OneNode("Tile", [_X, np.ones(2, _I)], constants=(1,)), "do not name every dim"),
        (OneNode("Expand", [_X, np.array([3, 3], _I)], constants=(1,)), "shape mismatch"),
        (OneNode("ConstantOfShape", [np.zeros(0, _I)], constants=(0,)), "its shape is not known"),
        (OneNode("BatchNormalization", [_X] * 5, {"training_mode": 1}), "batch's own statistics"),
        (OneNode("BatchNormalization", [_X] * 5, {"spatial": 0}, opset=7), "each position"),
        (OneNode("BatchNormalization", [_X] * 5, outputs=3), "running statistics is used"),
        (OneNode("GroupNormalization", [_X, _X, _X], {"num_groups": 3}), "do not divide"),
        (OneNode("TopK", [_X, np.ones(2, _I)], constants=(1,)), "k is no single number"),
        (OneNode("Reshape", [_X, np.array([3, -1], _I)], constants=(1,)), "cannot have the shape"),
        (OneNode("Reshape", [_X[0, 0], np.array([4, 4, 0], _I)], constants=(1,)), "that x f32"),
        (OneNode("Squeeze", [_X], {"axes": [1]}, opset=11), "that are not 1"),
        (OneNode("Unsqueeze", [_X]), "it has no axes"),
        (OneNode("Resize", [_X]), "neither scales nor sizes"),
        (OneNode("Resize", [_X], {"antialias": 1}), "it sets antialias"),
        (OneNode("Resize", [_X], {"keep_aspect_ratio_policy": "not_larger"}), "aspect ratio"),
        (
            OneNode("Resize", [_X], {"coordinate_transformation_mode": "tf_crop_and_resize"}),
            "region of interest",
        ),
        (
            OneNode("Resize", [_X, None, np.array([1, 2, 2, 2], np.float32)], constants=(2,)),
            "more than the spatial dims",
        ),
        (OneNode("Upsample", [_X], {"scales": [2.0, 2.0]}, opset=7), "2 scales for a tensor of"),
        (OneNode("Upsample", [_X], opset=9), "it has no scales"),
        (OneNode("Cast", [_X], {"to": 17}), "float8e4m3fn"),
    ],
    ids=lambda value: value.op if isinstance(value, OneNode) else "",
)
def test_the_reason_is_said(case: OneNode, reason: str) -> None:
    node = _node(case)
    with pytest.raises(NotNative) as refusal:
        CONVERTERS["", case.op](node)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(
    "case",
    [
        OneNode("Identity", [_X]),
        OneNode("Dropout", [_X]),
        OneNode("Cast", [_X], {"to": 1}),
        OneNode("Reshape", [_X, np.array([0, 0, -1, 4], _I)], constants=(1,)),
        OneNode("Transpose", [_X], {"perm": [0, 1, 2, 3]}),
        OneNode("Slice", [_X], {"starts": [0], "ends": [9]}, opset=9),
        OneNode("Pad", [_X, np.zeros(8, _I)], constants=(1,)),
        OneNode("Expand", [_X, np.array([4, 1, 1], _I)], constants=(1,)),
        OneNode("Tile", [_X, np.ones(4, _I)], constants=(1,)),
        OneNode("Split", [_X], {"axis": 1}, opset=11),
        OneNode("Concat", [_X], {"axis": 0}),
        OneNode("Resize", [_X, None, np.ones(4, np.float32)], constants=(2,)),
        OneNode("Sum", [_X]),
    ],
    ids=lambda case: case.op,
)
def test_what_changes_nothing_makes_no_layer(case: OneNode) -> None:
    node = _node(case)
    outputs = CONVERTERS["", case.op](node)
    assert outputs == [node.input(0)]
    assert not node.layers


def test_swish_and_cast_like() -> None:
    node = _node(OneNode("Swish", [_X]))
    CONVERTERS["", "Swish"](node)
    assert [layer.op for layer in node.layers] == ["Silu"]
    node = _node(OneNode("Swish", [_X], {"alpha": 2.0}))
    CONVERTERS["", "Swish"](node)
    assert [layer.op for layer in node.layers] == ["Mul", "Sigmoid", "Mul"]
    node = _node(OneNode("CastLike", [_X, np.ones(1, _I)]))
    outputs = CONVERTERS["", "CastLike"](node)
    assert outputs[0] is not None
    assert outputs[0].type.dtype == "i64"


def test_a_large_constant_of_shape_is_an_expanded_scalar() -> None:
    fill = onnx.helper.make_tensor("value", onnx.TensorProto.INT64, [1], [7])
    case = OneNode("ConstantOfShape", [np.array([3000, 4000], _I)], {"value": fill}, constants=(0,))
    node = _node(case)
    CONVERTERS["", "ConstantOfShape"](node)
    assert [layer.op for layer in node.layers] == ["Expand"]
    assert node.layers[0].inputs[0] is not None
    assert node.layers[0].inputs[0].constant == 7
