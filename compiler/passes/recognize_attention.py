"""softmax(q k^T * scale + mask) v becomes one Attention, which never stores all scores.

The operands are views, so that the Gathers, Splits and Transposes before them and the Transpose
behind them go. The mask must be a constant, added to the scores or chosen by Where, the same for
all heads: it turns into what each exponential is multiplied by. Removed counts whatever is -1e30
or less; then a score so low that it could win against it is none a softmax can hold in f32. The
kernel scales scores where the chain may have scaled operands, and adds in another order, so the
last bits may change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import result, scalar
from coexec.compiler.passes.rewrite import Links, PassReport, Rewrite
from coexec.compiler.passes.view import View, view_of

_REMOVED = -1e30
_ADDED_MAX = 60.0  # beyond, exp of the mask would leave the range that keeps the result's digits


@dataclass(slots=True)
class _Match:
    product: Layer  # of the softmax and v
    q: View
    k: View
    v: View
    scale: float
    mask: Array | None  # what is added to the scores
    problem: str = ""


def _pattern(links: Links, layer: Layer) -> _Match | None:
    if layer.op != "MatMul" or layer.inputs[1] is None:
        return None
    softmax = _made_by(links, layer.inputs[0], "Softmax")
    if softmax is None or softmax.inputs[0] is None:
        return None
    scores = softmax.inputs[0]
    if Attrs(softmax.attrs).i("axis") != len(scores.type.shape) - 1:
        return None
    value, mask, problem = _unmasked(links, scores)
    value, scale = _unscaled(links, value)
    first = _made_by(links, value, "MatMul")
    if first is None or first.inputs[0] is None or first.inputs[1] is None:
        return None
    q = view_of(links, first.inputs[0], scaled=True)
    k = view_of(links, first.inputs[1], scaled=True)
    v = view_of(links, layer.inputs[1])
    if result(first).type != scores.type:
        problem = "its mask widens the scores"
    return _Match(layer, q, k, v, scale * q.number * k.number, mask, problem)


def _made_by(links: Links, value: Value | None, op: str) -> Layer | None:
    """The layer that makes the value for one reader alone, if it is an `op`."""
    layer = links.producer(value)
    if layer is None or value is None or layer.op != op or not links.read_once(value):
        return None
    return layer


def _unscaled(links: Links, value: Value) -> tuple[Value, float]:
    """The value before a product with a number, and the number."""
    layer = links.producer(value)
    if layer is None or layer.op not in ("Mul", "Div") or not links.read_once(value):
        return value, 1.0
    a, b = layer.inputs
    if layer.op == "Mul" and scalar(b) is None:
        a, b = b, a
    number = scalar(b)
    if not number or a is None or a.type != value.type:
        return value, 1.0
    return a, number if layer.op == "Mul" else 1.0 / number


def _unmasked(links: Links, scores: Value) -> tuple[Value, Array | None, str]:
    """The scores before the mask, what it adds, and why it cannot be taken, or ""."""
    layer = links.producer(scores)
    if layer is None or layer.op not in ("Add", "Where") or not links.read_once(scores):
        return scores, None, ""
    a, b = layer.inputs[-2:]
    if b is None or b.constant is None:
        a, b = b, a
    if a is None or b is None or b.constant is None:
        return scores, None, ""
    mask = b.constant
    if layer.op == "Where":
        condition = layer.inputs[0]
        if condition is None or condition.constant is None:
            return scores, None, ""
        chosen = condition.constant == (layer.inputs[1] is b)
        mask = np.where(chosen, mask, np.float32(0))
        if (chosen & (mask > _REMOVED)).any():
            return a, None, "its Where replaces scores by numbers, instead of removing them"
    rows, keys = scores.type.shape[-2:]
    if mask.ndim > 2 and max(mask.shape[:-2]) > 1:
        return a, None, f"its mask {list(mask.shape)} differs between heads"
    flat = np.broadcast_to(mask.reshape(mask.shape[-2:] if mask.ndim > 1 else (-1,)), (rows, keys))
    return a, flat, ""


def _check(_links: Links, match: _Match) -> str:
    q, k, v = match.q, match.k, match.v
    types = [view.source.type for view in (q, k, v)]
    if match.problem:
        return match.problem
    if any(type.dtype != "f32" for type in types):
        return "it is not f32"
    rank = len(q.shape)
    if not 2 <= rank <= 4 or len(k.shape) != rank or len(v.shape) != rank:
        return f"its operands have {rank}, {len(k.shape)} and {len(v.shape)} dims"
    if not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        return "its operands differ in batch or heads"
    if (q.strides[-1], k.strides[-2], v.strides[-1]) != (1, 1, 1):
        return "the elements of its q, k or v do not lie side by side"
    return _why_not_mask(match.mask)


def _why_not_mask(mask: Array | None) -> str:
    if mask is None:
        return ""
    kept = mask > _REMOVED
    if not kept.any(axis=1).all():
        return "its mask removes all of a row"
    if (abs(mask[kept]) > _ADDED_MAX).any() or np.isnan(mask).any():
        return f"its mask adds {mask[kept].min():g} to {mask[kept].max():g}"
    return ""


def _lead(values: tuple[int, ...], missing: int) -> list[int]:
    """Of [batch, heads] what a view of fewer dims leaves out, filled in."""
    return [*[missing] * (4 - len(values)), *values[:-2]]


def _rewrite(links: Links, match: _Match) -> None:
    layer, (q, k, v) = match.product, (match.q, match.k, match.v)
    heads_last = _tokens_first(links, layer)
    if heads_last is not None:
        links.absorb(layer, heads_last)
    inputs = [q.source, k.source, v.source]
    if match.mask is not None and not (match.mask == 0.0).all():
        removed = match.mask <= _REMOVED
        added = np.where(removed, np.float32(0), match.mask)
        keep = np.where(removed, np.float32(0), np.exp(added, dtype=np.float32))
        inputs.append(links.constant(f"{layer.name}_keep", keep))
    layer.op = "Attention"
    layer.attrs = {
        "shape": [
            *_lead(q.shape, 1), q.shape[-2], k.shape[-1], q.shape[-1], v.shape[-1],
        ],
        "q_view": [q.offset, *_lead(q.strides, 0), q.strides[-2]],
        "k_view": [k.offset, *_lead(k.strides, 0), k.strides[-1]],
        "v_view": [v.offset, *_lead(v.strides, 0), v.strides[-2]],
        "scale": match.scale,
        "tokens_first": int(heads_last is not None),
        "rank": len(q.shape),
    }  # fmt: skip
    links.change(layer, inputs=inputs)


def _tokens_first(links: Links, layer: Layer) -> Layer | None:
    """The Transpose that puts tokens before heads, when it alone reads the result."""
    y = result(layer)
    reader = links.readers(y)[0] if links.read_once(y) else None
    if reader is None or reader.op != "Transpose":
        return None
    swapped = {3: [1, 0, 2], 4: [0, 2, 1, 3]}.get(len(y.type.shape))
    return reader if Attrs(reader.attrs).ints("perm") == swapped else None


def run(graph: Graph) -> PassReport:
    return Rewrite("recognize_attention", _pattern, _check, _rewrite).run(graph)
