"""Concat, Split, Slice, Pad, Gather, Tile, Expand, Transpose, DepthToSpace: moving elements."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.graph import AttrValue, Value
from coexec.compiler.onnx_import.node import Converter, Node, NotNative, normal_axes


def concat(node: Node) -> list[Value | None]:
    values = [node.input(i) for i in range(node.input_count)]
    axis = node.axis("axis", 1, len(values[0].type.shape))
    kept = [value for value in values if value.type.elements] or values[:1]
    if len(kept) == 1:
        return [kept[0]]
    return [node.emit("Concat", kept, {"axis": axis})]


def split(node: Node) -> list[Value | None]:
    """Sizes by attribute, by operand (opset 13), or equal parts, the last one smaller."""
    x = node.input(0)
    axis = node.axis("axis", 0, len(x.type.shape))
    count, size = len(node.proto.output), x.type.shape[axis]
    sizes = node.ints_given(1, "split")
    if not sizes:
        part = -(-size // count)
        sizes = [max(min(part, size - i * part), 0) for i in range(count)]
    if len(sizes) != count or sum(sizes) != size:
        raise NotNative(f"its sizes {sizes} do not make up {size}")
    if count == 1:
        return [x]
    used = [node.uses_output(i) for i in range(count)]
    return node.emit_all("Split", [x], {"axis": axis, "split": sizes}, used)


def slice_(node: Node) -> list[Value | None]:
    """Bounds by attribute before opset 10, by operand from then on; clamped here."""
    x = node.input(0)
    shape = x.type.shape
    given_starts = node.ints_given(1, "starts")
    given_ends = node.ints_given(2, "ends")
    if given_starts is None or given_ends is None:
        raise NotNative("it has no starts or no ends")
    axes = normal_axes(node.ints_given(3, "axes") or range(len(given_starts)), len(shape))
    given_steps = node.known_ints(4, "steps") or [1] * len(axes)
    starts, ends, steps = [0] * len(shape), list(shape), [1] * len(shape)
    for axis, start, end, step in zip(axes, given_starts, given_ends, given_steps, strict=True):
        if step == 0:
            raise NotNative("a step is 0")
        starts[axis], ends[axis], steps[axis] = _clamped(start, end, step, shape[axis])
    if starts == [0] * len(shape) and ends == list(shape) and steps == [1] * len(shape):
        return [x]
    return [node.emit("Slice", [x], {"starts": starts, "ends": ends, "steps": steps})]


def _clamped(start: int, end: int, step: int, size: int) -> tuple[int, int, int]:
    """ONNX's rules for one dim; an end of -1 with a negative step means through index 0."""
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        start = min(max(start, 0), size)
        return start, min(max(end, start), size), step
    start = min(max(start, 0), size - 1)
    return start, min(max(end, -1), start), step


def pad(node: Node) -> list[Value | None]:
    x = node.input(0)
    rank = len(x.type.shape)
    given = node.ints_attr("paddings") or node.ints_given(1, "pads")
    if given is None:
        raise NotNative("it has no pads")
    axes = normal_axes(node.known_ints(3, "axes") or range(rank), rank)
    if len(given) != 2 * len(axes):
        raise NotNative(f"{len(given)} pads for {len(axes)} axes")
    pads = [0] * (2 * rank)
    for i, axis in enumerate(axes):
        pads[axis], pads[rank + axis] = given[i], given[len(axes) + i]
    mode = node.text_attr("mode", "constant")
    if mode not in ("constant", "reflect", "edge"):
        raise NotNative(f"no native kernel for its mode {mode}")
    if not any(pads):
        return [x]
    fill = node.known(2, "the value to pad with")
    value = node.float_attr("value", 0.0)
    if fill is not None and fill.size:
        given = fill.reshape(-1)[0].item()
        value = float(given)
        if isinstance(given, int) and int(value) != given:
            raise NotNative(f"its value {given} has no exact float form")
    attrs: dict[str, AttrValue] = {"pads": pads, "mode": mode, "value": value}
    return [node.emit("Pad", [x], attrs)]


def gather(node: Node) -> list[Value | None]:
    axis = node.axis("axis", 0, len(node.shape(0)))
    indices = node.input(1)
    if indices.constant is not None:
        size = node.shape(0)[axis]
        if ((indices.constant < -size) | (indices.constant >= size)).any():
            raise NotNative(f"an index lies outside dim {axis} of {size}")
    return [node.emit("Gather", [node.input(0), indices], {"axis": axis})]


def tile(node: Node) -> list[Value | None]:
    repeats = node.known_ints(1, "repeats")
    if repeats is None or len(repeats) != len(node.shape(0)):
        raise NotNative("its repeats do not name every dim")
    if all(r == 1 for r in repeats):
        return [node.input(0)]
    return [node.emit("Tile", [node.input(0)], {"repeats": repeats})]


def expand(node: Node) -> list[Value | None]:
    x = node.input(0)
    wanted = node.known_ints(1, "its shape")
    try:
        shape = np.broadcast_shapes(x.type.shape, tuple(wanted or ()))
    except ValueError as error:
        raise NotNative(str(error)) from None
    if shape == x.type.shape:
        return [x]
    return [node.emit("Expand", [x], {"shape": list(shape)})]


def constant_of_shape(node: Node) -> list[Value | None]:
    """Only the large ones come here; the others are folded."""
    wanted = node.known_ints(0, "its shape")
    if not wanted:
        raise NotNative("its shape is not known")
    fill = node.tensor_attr("value")
    value = node.constant(np.zeros((), np.float32) if fill is None else fill.reshape(()))
    return [node.emit("Expand", [value], {"shape": wanted})]


def transpose(node: Node) -> list[Value | None]:
    rank = len(node.shape(0))
    perm = normal_axes(node.ints_attr("perm", range(rank - 1, -1, -1)), rank)
    if len(perm) != rank:
        raise NotNative(f"its perm {perm} does not name every dim")
    return [node.transpose(node.input(0), perm)]


def depth_to_space(node: Node) -> list[Value | None]:
    attrs: dict[str, AttrValue] = {
        "blocksize": node.int_attr("blocksize", 1),
        "mode": node.text_attr("mode", "DCR"),
    }
    return [node.emit("DepthToSpace", [node.input(0)], attrs)]


def space_to_depth(node: Node) -> list[Value | None]:
    attrs: dict[str, AttrValue] = {"blocksize": node.int_attr("blocksize", 1)}
    return [node.emit("SpaceToDepth", [node.input(0)], attrs)]


CONVERTERS: dict[str, Converter] = {
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Pad": pad,
    "Gather": gather,
    "Tile": tile,
    "Expand": expand,
    "ConstantOfShape": constant_of_shape,
    "Transpose": transpose,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
