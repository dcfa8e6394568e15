"""Reductions, and the ops that look for the largest."""

from __future__ import annotations

from coexec.compiler.ir.graph import AttrValue, Value
from coexec.compiler.onnx_import.node import Converter, Node, NotNative, normal_axes

_REDUCTIONS = (
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
)  # fmt: skip


def reduce(node: Node) -> list[Value | None]:
    """Axes by attribute, or by operand (ReduceSum from opset 13, the others from 18)."""
    rank = len(node.shape(0))
    given = node.ints_given(1, "axes")
    if not given and node.int_attr("noop_with_empty_axes", 0):
        raise NotNative("it reduces over no axes")
    axes = sorted(normal_axes(given, rank)) if given else list(range(rank))
    attrs: dict[str, AttrValue] = {"axes": axes, "keepdims": node.int_attr("keepdims", 1)}
    return [node.emit(node.op, [node.input(0)], attrs)]


def arg_extreme(node: Node) -> list[Value | None]:
    attrs = {
        "axis": node.axis("axis", 0, len(node.shape(0))),
        "keepdims": node.int_attr("keepdims", 1),
        "select_last_index": node.int_attr("select_last_index", 0),
    }
    return [node.emit(node.op, [node.input(0)], attrs)]


def top_k(node: Node) -> list[Value | None]:
    count = node.ints_given(1, "k")
    if node.has("k"):
        count = [node.int_attr("k", 0)]
    if count is None or len(count) != 1:
        raise NotNative("its k is no single number")
    attrs = {
        "k": count[0],
        "axis": node.axis("axis", -1, len(node.shape(0))),
        "largest": node.int_attr("largest", 1),
        "sorted": node.int_attr("sorted", 1),
    }
    used = [node.uses_output(0), node.uses_output(1)]
    return node.emit_all("TopK", [node.input(0)], attrs, used)


CONVERTERS: dict[str, Converter] = {
    **dict.fromkeys(_REDUCTIONS, reduce),
    "ArgMax": arg_extreme,
    "ArgMin": arg_extreme,
    "TopK": top_k,
}
