"""Where the elements of a value lie in the tensor they were taken from, through layers that only
move or pick them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from coexec.compiler.ir import Layer, Value
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import scalar
from coexec.compiler.passes.rewrite import Links


@dataclass(frozen=True, slots=True)
class View:
    """Element [i, j ...] is `number` times element offset + i * strides[0] + j * strides[1] ...
    of the source, read row-major."""

    source: Value
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    number: float = 1.0

    @property
    def is_whole(self) -> bool:
        """Every element of the source in its order."""
        rows = _row_major(self.shape)
        used = (a == b or n == 1 for a, b, n in zip(self.strides, rows, self.shape, strict=True))
        same = math.prod(self.shape) == self.source.type.elements
        return self.offset == 0 and same and all(used)


def view_of(links: Links, value: Value, *, scaled: bool = False) -> View:
    """The value as a view, of itself when a layer computes it. scaled: products with a number are
    looked through."""
    layer = links.producer(value)
    whole = View(value, 0, value.type.shape, _row_major(value.type.shape))
    if layer is None or not layer.inputs or layer.inputs[0] is None:
        return whole
    if layer.op in _MOVES:
        return _MOVES[layer.op](view_of(links, layer.inputs[0], scaled=scaled), layer, value, whole)
    if scaled and layer.op in ("Mul", "Div"):
        a, b = layer.inputs
        assert a is not None
        assert b is not None
        if layer.op == "Mul" and scalar(b) is None:
            a, b = b, a
        number = scalar(b)
        if number and a.type == value.type:
            inner = view_of(links, a, scaled=True)
            factor = number if layer.op == "Mul" else 1.0 / number
            return replace(inner, number=inner.number * factor)
    return whole


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _transpose(view: View, layer: Layer, _value: Value, _whole: View) -> View:
    perm = Attrs(layer.attrs).ints("perm")
    return replace(
        view,
        shape=tuple(view.shape[axis] for axis in perm),
        strides=tuple(view.strides[axis] for axis in perm),
    )


def _reshape(view: View, _layer: Layer, value: Value, whole: View) -> View:
    if not view.is_whole:
        return whole
    return replace(view, shape=value.type.shape, strides=_row_major(value.type.shape))


def _gather(view: View, layer: Layer, _value: Value, whole: View) -> View:
    """One place of an axis, which goes."""
    indices, axis = layer.inputs[1], Attrs(layer.attrs).i("axis")
    if indices is None or indices.constant is None or indices.type.shape:
        return whole
    index = int(indices.constant) % view.shape[axis]
    return replace(
        view,
        offset=view.offset + index * view.strides[axis],
        shape=view.shape[:axis] + view.shape[axis + 1 :],
        strides=view.strides[:axis] + view.strides[axis + 1 :],
    )


def _split(view: View, layer: Layer, value: Value, _whole: View) -> View:
    attrs = Attrs(layer.attrs)
    place = next(i for i, output in enumerate(layer.outputs) if output is value)
    begin = sum(attrs.ints("split")[:place])
    offset = view.offset + begin * view.strides[attrs.i("axis")]
    return replace(view, offset=offset, shape=value.type.shape)


def _slice(view: View, layer: Layer, value: Value, whole: View) -> View:
    attrs = Attrs(layer.attrs)
    if min(attrs.ints("steps")) < 0:
        return whole
    starts = zip(attrs.ints("starts"), view.strides, strict=True)
    steps = zip(attrs.ints("steps"), view.strides, strict=True)
    return replace(
        view,
        offset=view.offset + sum(start * stride for start, stride in starts),
        shape=value.type.shape,
        strides=tuple(step * stride for step, stride in steps),
    )


_MOVES = {
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Gather": _gather,
    "Split": _split,
    "Slice": _slice,
}
