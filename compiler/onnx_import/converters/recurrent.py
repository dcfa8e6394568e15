"""LSTM and GRU, in the one form the kernels take: time first, ONNX's own gate functions."""

from __future__ import annotations

from coexec.compiler.ir.graph import AttrValue, Value
from coexec.compiler.onnx_import.node import Converter, Node, NotNative

_ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}


def lstm(node: Node) -> list[Value | None]:
    _check(node)
    peepholes = node.maybe(7)
    if peepholes is not None and (peepholes.constant is None or peepholes.constant.any()):
        raise NotNative("it has peephole weights")
    if node.int_attr("input_forget", 0):
        raise NotNative("its input and forget gates are coupled")
    return _emit(node, ["LSTM", 3], [_state(node, 5), _state(node, 6)], {})


def gru(node: Node) -> list[Value | None]:
    _check(node)
    attrs: dict[str, AttrValue] = {"linear_before_reset": node.int_attr("linear_before_reset", 0)}
    return _emit(node, ["GRU", 2], [_state(node, 5)], attrs)


def _check(node: Node) -> None:
    if node.has("clip"):
        raise NotNative("it clips its gates")
    given = [name.lower() for name in node.texts_attr("activations")]
    directions = 2 if node.text_attr("direction", "forward") == "bidirectional" else 1
    if given and given != _ACTIVATIONS[node.op] * directions:
        raise NotNative(f"its gate functions are {', '.join(given)}")
    lengths = node.maybe(4)
    if lengths is not None:
        steps = node.shape(0)[1 if node.int_attr("layout", 0) else 0]
        if lengths.constant is None or (lengths.constant != steps).any():
            raise NotNative("its sequences differ in length")
    for i, what in ((1, "w"), (2, "r"), (3, "b")):
        node.known(i, what)


def _state(node: Node, i: int) -> Value | None:
    """initial_h or initial_c as [D, B, H]."""
    state = node.maybe(i)
    if state is None or not node.int_attr("layout", 0):
        return state
    return node.transpose(state, [1, 0, 2])


def _emit(
    node: Node, kind: list[str | int], states: list[Value | None], more: dict[str, AttrValue]
) -> list[Value | None]:
    op, results = str(kind[0]), int(kind[1])
    batch_first = bool(node.int_attr("layout", 0))
    x = node.transpose(node.input(0), [1, 0, 2]) if batch_first else node.input(0)
    attrs: dict[str, AttrValue] = {
        "hidden_size": node.int_attr("hidden_size", node.shape(2)[-1]),
        "direction": node.text_attr("direction", "forward"),
        **more,
    }
    used = [node.uses_output(i) for i in range(results)]
    operands = [x, node.input(1), node.input(2), node.maybe(3), *states]
    outputs = node.emit_all(op, operands, attrs, used)
    if not batch_first:
        return outputs
    perms = [[2, 0, 1, 3], [1, 0, 2], [1, 0, 2]]
    return [
        None if value is None else node.transpose(value, perm)
        for value, perm in zip(outputs, perms, strict=False)
    ]


CONVERTERS: dict[str, Converter] = {"LSTM": lstm, "GRU": gru}
