"""y = softmax(scale * q k^T + log keep) v, per batch entry and head: scaled dot-product attention
(Vaswani et al., arXiv 1706.03762, section 3.2), with a fixed mask given as what each exponential
is multiplied by, 0 where the mask removes a score.

q, k and v are views into tensors of any shape, so that neither the parts of a joined projection
nor the heads need be moved: attribute `shape` is [batch, heads, rows, keys, size, value_size], and
each view is [offset, batch, head, token], an offset and three strides in elements; the elements of
one vector lie side by side. y is [batch, heads, rows, value_size], or with tokens_first [batch,
rows, heads, value_size], of which the last `rank` dims are kept. A row that keeps no key gives
NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import AttrValue, TensorType
from coexec.compiler.ir.op import (
    SUM_ATOL,
    SUM_RTOL,
    Array,
    Attrs,
    Cost,
    Op,
    Sample,
    require,
    require_float,
    traffic,
)


def infer(
    q: TensorType, k: TensorType, v: TensorType, keep: TensorType | None, attrs: Attrs
) -> list[TensorType]:
    dtype = require_float("Attention", q=q, k=k, v=v, keep=keep)
    shape = attrs.ints("shape")
    require(len(shape) == 6, f"Attention: shape must have 6 entries, got {shape}")
    require(min(shape) > 0, f"Attention: shape must be positive, got {shape}")
    batch, heads, rows, keys, size, value_size = shape
    for name, x, tokens, width in (
        ("q", q, rows, size), ("k", k, keys, size), ("v", v, keys, value_size),
    ):  # fmt: skip
        view = attrs.ints(f"{name}_view")
        require(
            len(view) == 4 and min(view) >= 0,
            f"Attention: {name}_view must be an offset and 3 strides, got {view}",
        )
        steps = (1, batch - 1, heads - 1, tokens - 1)
        end = sum(stride * n for stride, n in zip(view, steps, strict=True)) + width
        require(end <= x.elements, f"Attention: {name}_view {view} reaches beyond {name} {x}")
    require(
        keep is None or keep.shape == (rows, keys),
        f"Attention: keep must be [{rows}, {keys}], got {keep}",
    )
    rank = attrs.i("rank")
    full = (batch, rows, heads, value_size) if attrs.i("tokens_first") else (
        batch, heads, rows, value_size
    )  # fmt: skip
    require(
        2 <= rank <= 4 and set(full[: 4 - rank]) <= {1},
        f"Attention: rank {rank} of {full} would drop elements",
    )
    return [TensorType(dtype, full[4 - rank :])]


def _matrices(x: Array, view: list[int], dims: tuple[int, int, int, int]) -> Array:
    """The view as [batch, heads, tokens, size], in double."""
    flat = np.ascontiguousarray(x).reshape(-1)[view[0] :]
    strides = tuple(stride * flat.itemsize for stride in (*view[1:], 1))
    return np.lib.stride_tricks.as_strided(flat, dims, strides).astype(np.float64)


def reference(q: Array, k: Array, v: Array, keep: Array | None, attrs: Attrs) -> list[Array]:
    batch, heads, rows, keys, size, value_size = attrs.ints("shape")
    wide_q = _matrices(q, attrs.ints("q_view"), (batch, heads, rows, size))
    wide_k = _matrices(k, attrs.ints("k_view"), (batch, heads, keys, size))
    wide_v = _matrices(v, attrs.ints("v_view"), (batch, heads, keys, value_size))
    scores = np.matmul(wide_q, wide_k.swapaxes(2, 3)) * attrs.f("scale")
    weights = np.ones((rows, keys)) if keep is None else keep.astype(np.float64)
    scores = np.where(weights != 0.0, scores, -np.inf)
    with np.errstate(invalid="ignore"):  # -inf - -inf where a row keeps nothing
        p = np.exp(scores - np.max(scores, axis=3, keepdims=True)) * weights
    y = np.matmul(p / np.sum(p, axis=3, keepdims=True), wide_v)
    if attrs.i("tokens_first"):
        y = y.swapaxes(1, 2)
    return [y.astype(q.dtype).reshape(y.shape[4 - attrs.i("rank") :])]


def cost(
    q: TensorType, k: TensorType, v: TensorType, keep: TensorType | None, attrs: Attrs,
    density: float,
) -> Cost:  # fmt: skip
    batch, heads, rows, keys, size, value_size = attrs.ints("shape")
    scores = batch * heads * rows * keys * density
    flops = round(scores * (2 * size + 2 * value_size + 24))
    y = infer(q, k, v, keep, attrs)[0]
    distinct = {id(x): x for x in (q, k, v)}.values()
    return Cost(flops=flops, bytes=traffic(*distinct, y, keep, density=density, weights=1))


def _joined(batch: int, tokens: int, heads: int, size: int) -> dict[str, AttrValue]:
    """Attributes of q, k and v side by side, each [batch, tokens, 3, heads, size]."""
    part = heads * size
    views = {
        f"{name}_view": [i * part, tokens * 3 * part, size, 3 * part]
        for i, name in enumerate("qkv")
    }
    shape = [batch, heads, tokens, tokens, size, size]
    return {"shape": shape, **views, "scale": size**-0.5, "tokens_first": 1, "rank": 4}


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    for batch, tokens, heads, size in [(1, 1, 1, 1), (2, 17, 3, 8), (1, 50, 2, 33)]:
        x = rng.normal(0, 1, (batch, tokens, 3, heads, size)).astype(np.float32)
        attrs = _joined(batch, tokens, heads, size)
        yield [x, x, x], attrs
        keep = rng.random((tokens, tokens)).astype(np.float32)
        yield [x, x, x, keep], attrs
    q, k, v = (rng.normal(0, 2, s).astype(np.float32) for s in ((5, 7), (9, 7), (9, 20)))
    plain: dict[str, AttrValue] = {
        "shape": [1, 1, 5, 9, 7, 20], "q_view": [0, 0, 0, 7], "k_view": [0, 0, 0, 7],
        "v_view": [0, 0, 0, 20], "scale": 1.0, "tokens_first": 0, "rank": 2,
    }  # fmt: skip
    yield [q, k, v], plain


OPS = [
    Op(
        name="Attention",
        inputs=("q", "k", "v", "keep?"),
        outputs=("y",),
        weights=("keep",),
        attrs={
            "shape": "is", "q_view": "is", "k_view": "is", "v_view": "is", "scale": "f",
            "tokens_first": "i", "rank": "i",
        },
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=SUM_RTOL,
        atol=SUM_ATOL,
    )
]  # fmt: skip
