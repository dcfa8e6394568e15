"""x with borders added, or cropped where a pad is negative."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, traffic

_MODES = ("constant", "reflect", "edge")


def infer(x: TensorType, attrs: Attrs) -> list[TensorType]:
    pads, mode, rank = attrs.ints("pads"), attrs.s("mode"), len(x.shape)
    require(mode in _MODES, f"Pad: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    require(len(pads) == 2 * rank, f"Pad: pads must hold {2 * rank} numbers, got {len(pads)}")
    begins, ends = pads[:rank], pads[rank:]
    shape = tuple(d + b + e for d, b, e in zip(x.shape, begins, ends, strict=True))
    require(min(shape, default=0) >= 0, f"Pad: pads {pads} crop more than x {x.shape} has")
    for i, size in enumerate(x.shape):
        # What remains after cropping is what reflection and edges are taken from.
        left = size + min(begins[i], 0) + min(ends[i], 0)
        most = {"constant": begins[i] + ends[i] + 1, "reflect": left - 1}.get(
            mode, left and 1 << 40
        )
        require(
            mode == "constant" or max(begins[i], ends[i]) <= most,
            f"Pad: {mode} of {begins[i]}, {ends[i]} has too little to copy in dim {i}, x {x.shape}",
        )
    return [TensorType(x.dtype, shape)]


def reference(x: Array, attrs: Attrs) -> list[Array]:
    pads, rank = attrs.ints("pads"), x.ndim
    pairs = [(pads[i], pads[rank + i]) for i in range(rank)]
    crop = tuple(
        slice(max(-b, 0), d - max(-e, 0)) for d, (b, e) in zip(x.shape, pairs, strict=True)
    )
    width = [(max(b, 0), max(e, 0)) for b, e in pairs]
    if attrs.s("mode") == "constant":
        value = np.asarray(attrs.f("value")).astype(x.dtype)
        return [np.pad(x[crop], width, constant_values=value)]
    return [np.pad(x[crop], width, mode="reflect" if attrs.s("mode") == "reflect" else "edge")]


def cost(x: TensorType, attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, *infer(x, attrs)))


def samples(rng: np.random.Generator) -> Iterator[Sample]:
    cases: list[tuple[tuple[int, ...], list[int]]] = [
        ((3, 4), [0, 1, 2, 0]), ((5,), [2, 3]), ((1, 2, 4, 4), [0, 0, 1, 2, 0, 0, 2, 1]),
        ((4, 5), [-1, 0, 1, -2]), ((2, 3), [0, 0, 0, 0]),
    ]  # fmt: skip
    for shape, pads in cases:
        for mode in _MODES:
            for dtype in (np.float32, np.int64):
                x = rng.integers(0, 99, shape).astype(dtype)
                yield [x], {"pads": pads, "mode": mode, "value": 2.0}


OPS = [
    Op(
        name="Pad",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"pads": "is", "mode": "s", "value": "f"},
        infer=infer,
        reference=reference,
        cost=cost,
        samples=samples,
        rtol=EXACT,
        atol=EXACT,
    )
]
