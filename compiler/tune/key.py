"""The identity of a layer as far as its speed is concerned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from coexec.compiler.ir import Layer, Value
from coexec.compiler.ir.op import FLOATS
from coexec.compiler.ir.ops import BY_NAME


def layer_key(layer: Layer) -> str:
    """Of a native layer: its op, attributes, operand and result types, and of weights that may
    be sparse where their zeros lie. Not the layouts they have now, nor any value or name: layers
    that differ only in those get the same choice."""
    weights = BY_NAME[layer.op].weights
    names = BY_NAME[layer.op].inputs
    operands = [
        _operand(value, i < len(names) and names[i].rstrip("?") in weights)
        for i, value in enumerate(layer.inputs)
    ]
    results = [None if v is None else _type(v) for v in layer.outputs]
    return _digest([layer.op, sorted(layer.attrs.items()), operands, results])


def block_key(layer: Layer, variants: Sequence[str]) -> str:
    """Of a layer before it is pruned, with the names of the ways to prune it by blocks."""
    return _digest(["block", layer_key(layer), list(variants)])


def graph_key(layers: Sequence[tuple[str, list[int], list[int]]], outputs: Sequence[int]) -> str:
    """Of layers with their wiring: each one's key, its operands and results by number."""
    return _digest([[list(layer) for layer in layers], list(outputs)])


def zeros_digest(value: Value) -> str:
    """Of where a constant's zeros lie; "" when it has none."""
    kept = np.asarray(value.constant) != 0
    if kept.all():
        return ""
    return hashlib.blake2b(np.packbits(kept).tobytes(), digest_size=16).hexdigest()


def _operand(value: Value | None, is_weight: bool) -> Any:
    if value is None:
        return None
    if value.constant is None:
        return [*_type(value), "computed"]
    zeros = zeros_digest(value) if is_weight and value.type.dtype in FLOATS else ""
    return [*_type(value), "constant", zeros]


def _type(value: Value) -> list[Any]:
    return [value.type.dtype, list(value.type.shape)]


def _digest(facts: Any) -> str:
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=20).hexdigest()
