"""The references against ONNX Runtime: every sample that is one ONNX node is run as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from coexec.compiler.ir import Array, Op, ops

# One ONNX node: its op, operands in order ("" where absent) and attributes.
Node = tuple[str, list[Array | None], dict[str, Any]]
_OPSET = 20
_CAST = {
    "bool": onnx.TensorProto.BOOL, "u8": onnx.TensorProto.UINT8, "i8": onnx.TensorProto.INT8,
    "i32": onnx.TensorProto.INT32, "i64": onnx.TensorProto.INT64,
    "f16": onnx.TensorProto.FLOAT16, "f32": onnx.TensorProto.FLOAT,
    "f64": onnx.TensorProto.DOUBLE,
}  # fmt: skip


def _ints(values: Any) -> Array:
    return np.asarray(values, np.int64)


def _conv(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node | None:
    if attrs["activation"] or len(inputs) > 3:
        return None
    kept = {k: v for k, v in attrs.items() if not k.startswith("activation")}
    return name, inputs, kept


def _gemm(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node | None:
    if attrs["activation"] or len(inputs) > 3 or inputs[0].ndim != 2:
        return None
    return name, inputs, {"transB": 1}


def _recurrent(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node:
    return name, [*inputs[:4], None, *inputs[4:]] if len(inputs) > 4 else inputs, attrs


def _clip(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node | None:
    x = inputs[0]
    if x.dtype.kind == "i" and attrs["min"] < -1e9:
        return None
    return name, [x, *(np.asarray(attrs[k], x.dtype) for k in ("min", "max"))], {}


def _resize(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node:
    scales = np.asarray(attrs["scales"], np.float32)
    kept = {k: v for k, v in attrs.items() if k != "scales"}
    return name, [inputs[0], None, scales], kept


def _slice(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node:
    ends = [
        np.iinfo(np.int64).min if end == -1 and step < 0 else end
        for end, step in zip(attrs["ends"], attrs["steps"], strict=True)
    ]
    axes = range(len(ends))
    return name, [inputs[0], *map(_ints, (attrs["starts"], ends, axes, attrs["steps"]))], {}


def _pad(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node | None:
    x = inputs[0]
    if min(attrs["pads"]) < 0 and attrs["mode"] != "constant":
        return None  # ONNX Runtime crops after it mirrors
    return (
        name,
        [x, _ints(attrs["pads"]), np.asarray(attrs["value"], x.dtype)],
        {"mode": attrs["mode"]},
    )


def _reduce(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node:
    return name, [*inputs, _ints(attrs["axes"])], {"keepdims": attrs["keepdims"]}


_WITH_OPERAND = {"Split": "split", "Reshape": "shape", "Expand": "shape", "Tile": "repeats"}


def _operand(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node:
    moved = _WITH_OPERAND[name]
    kept = {k: v for k, v in attrs.items() if k != moved}
    if name == "Reshape":
        kept["allowzero"] = 1
    return name, [*inputs, _ints(attrs[moved])], kept


def _top_k(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node:
    return name, [*inputs, _ints([attrs["k"]])], {k: v for k, v in attrs.items() if k != "k"}


_SPECIAL: dict[str, Callable[[str, list[Any], dict[str, Any]], Node | None]] = {
    "Conv": _conv, "ConvTranspose": _conv, "Gemm": _gemm, "LSTM": _recurrent, "GRU": _recurrent,
    "Clip": _clip, "Resize": _resize, "Slice": _slice, "Pad": _pad, "TopK": _top_k,
    "Cast": lambda name, inputs, attrs: (name, inputs, {"to": _CAST[attrs["to"]]}),
    "Silu": lambda *_: None,  # no such op in this opset
    **{name: _reduce for name in ops.BY_NAME if name.startswith("Reduce")},
    **dict.fromkeys(_WITH_OPERAND, _operand),
}  # fmt: skip


def as_node(name: str, inputs: list[Any], attrs: dict[str, Any]) -> Node | None:
    special = _SPECIAL.get(name)
    return special(name, inputs, attrs) if special else (name, inputs, attrs)


def run_node(node: Node, outputs: int) -> list[Array] | None:
    """The node's results, or None where ONNX Runtime has no kernel for the dtype."""
    name, inputs, attrs = node
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(inputs)]
    feeds = {n: np.asarray(a) for n, a in zip(names, inputs, strict=True) if n}
    constants = {n: a for n, a in feeds.items() if n != "x0"}
    results = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(name, names, results, **attrs)],
        "one_node",
        [
            helper.make_tensor_value_info(
                "x0", helper.np_dtype_to_tensor_dtype(feeds["x0"].dtype), feeds["x0"].shape
            )
        ],
        [onnx.ValueInfoProto(name=r) for r in results],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    return [np.asarray(y) for y in session.run(None, {"x0": feeds["x0"]})]


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_reference_agrees_with_onnxruntime(op: Op) -> None:
    compared = 0
    for inputs, attrs in op.samples(np.random.default_rng(7)):
        node = as_node(op.name, list(inputs), dict(attrs))
        expected = op.run(inputs, attrs)
        results = run_node(node, len(expected)) if node else None
        if results is None:
            continue
        compared += 1
        for ours, theirs in zip(expected, results, strict=True):
            assert ours.shape == theirs.shape, attrs
            assert ours.dtype == theirs.dtype, attrs
            # Both sides are rounded, so twice the op's own tolerance.
            np.testing.assert_allclose(
                ours, theirs, rtol=2 * op.rtol, atol=2 * op.atol, err_msg=str(attrs)
            )
    assert compared > 0 or op.name == "Silu"
