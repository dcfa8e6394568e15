"""Attention as the chain of ONNX nodes it was recognised in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from coexec.compiler.ir import Layer
from coexec.compiler.ir.op import Attrs
from coexec.compiler.onnx_export.builder import Nodes


def add_attention(nodes: Nodes, layer: Layer, inputs: list[str], outputs: list[str]) -> None:
    attrs = Attrs(layer.attrs)
    batch, heads, rows, keys, size, value_size = attrs.ints("shape")
    q, k, v = (
        _viewed(nodes, layer, i, inputs[i], attrs.ints(f"{'qkv'[i]}_view"), (batch, heads, *dims))
        for i, dims in enumerate([(rows, size), (keys, size), (keys, value_size)])
    )
    scores = nodes.add("MatMul", [q, nodes.add("Transpose", [k], perm=[0, 1, 3, 2])])
    scale = nodes.constant(np.array(attrs.f("scale"), np.float32))
    scores = nodes.add("Mul", [scores, scale])
    keep = layer.inputs[3] if len(layer.inputs) > 3 else None
    if keep is not None and keep.constant is not None:
        with np.errstate(divide="ignore"):
            scores = nodes.add("Add", [scores, nodes.constant(np.log(keep.constant))])
    elif keep is not None:
        scores = nodes.add("Add", [scores, nodes.add("Log", [inputs[3]])])
    y = nodes.add("MatMul", [nodes.add("Softmax", [scores], axis=3), v])
    if attrs.i("tokens_first"):
        y = nodes.add("Transpose", [y], perm=[0, 2, 1, 3])
    result = layer.outputs[0]
    assert result is not None
    nodes.add("Reshape", [y, nodes.ints(result.type.shape)], outputs)


def _viewed(
    nodes: Nodes, layer: Layer, index: int, name: str, view: list[int], dims: Sequence[int]
) -> str:
    """The view of the operand as a tensor [batch, heads, tokens, size]: by Reshape, Slice and
    Transpose where the strides allow, else element by element."""
    source = layer.inputs[index]
    assert source is not None
    offset, strides = view[0], (*view[1:], 1)
    order = [*sorted((i for i in range(3) if dims[i] > 1), key=lambda i: -strides[i]), 3]
    whole = [source.type.elements, *(strides[i] for i in order)]
    sizes = [a // max(b, 1) for a, b in itertools.pairwise(whole)]
    starts = []
    for i in order:
        starts.append(offset // max(strides[i], 1))
        offset -= starts[-1] * strides[i]
    ends = [start + dims[i] for start, i in zip(starts, order, strict=True)]
    fits = math.prod(sizes) == source.type.elements and all(
        end <= n for end, n in zip(ends, sizes, strict=True)
    )
    if not fits:
        flat = nodes.add("Reshape", [name, nodes.ints([-1])])
        places = [stride * np.arange(n) for stride, n in zip(strides, dims, strict=True)]
        at = view[0] + sum(np.ix_(*places))
        return nodes.add("Gather", [flat, nodes.constant(np.asarray(at, np.int64))], axis=0)
    axes = nodes.ints(range(len(order)))
    part = nodes.add("Reshape", [name, nodes.ints(sizes)])
    part = nodes.add("Slice", [part, nodes.ints(starts), nodes.ints(ends), axes])
    part = nodes.add("Transpose", [part], perm=[order.index(i) for i in sorted(order)])
    return nodes.add("Reshape", [part, nodes.ints(dims)])
