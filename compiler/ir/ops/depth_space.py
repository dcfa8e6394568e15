"""DepthToSpace and SpaceToDepth: blocks of pixels become channels, and back. Shi et al.,
arXiv 1609.05158."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import EXACT, Array, Attrs, Cost, Op, Sample, require, traffic


def infer_to_space(x: TensorType, attrs: Attrs) -> list[TensorType]:
    block, mode = attrs.i("blocksize"), attrs.s("mode")
    require(len(x.shape) == 4, f"DepthToSpace: x must be [N, C, H, W], got {x.shape}")
    require(mode in ("DCR", "CRD"), f"DepthToSpace: mode must be DCR or CRD, got {mode!r}")
    n, c, h, w = x.shape
    require(
        block >= 1 and c % (block * block) == 0,
        f"DepthToSpace: channels of x {x.shape} do not split by blocksize {block} squared",
    )
    return [TensorType(x.dtype, (n, c // (block * block), h * block, w * block))]


def infer_to_depth(x: TensorType, attrs: Attrs) -> list[TensorType]:
    block = attrs.i("blocksize")
    require(len(x.shape) == 4, f"SpaceToDepth: x must be [N, C, H, W], got {x.shape}")
    n, c, h, w = x.shape
    require(
        block >= 1 and h % block == 0 and w % block == 0,
        f"SpaceToDepth: x {x.shape} does not split into blocks of {block}",
    )
    return [TensorType(x.dtype, (n, c * block * block, h // block, w // block))]


def reference_to_space(x: Array, attrs: Attrs) -> list[Array]:
    block, (n, c, h, w) = attrs.i("blocksize"), x.shape
    depth = c // (block * block)
    if attrs.s("mode") == "DCR":
        y = x.reshape(n, block, block, depth, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, depth, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return [y.reshape(n, depth, h * block, w * block)]


def reference_to_depth(x: Array, attrs: Attrs) -> list[Array]:
    block, (n, c, h, w) = attrs.i("blocksize"), x.shape
    y = x.reshape(n, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4)
    return [y.reshape(n, c * block * block, h // block, w // block)]


def cost(x: TensorType, _attrs: Attrs, _density: float) -> Cost:
    return Cost(flops=0, bytes=traffic(x, x))


def samples_to_space(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, block in [((1, 8, 2, 3), 2), ((2, 9, 1, 1), 3), ((1, 3, 4, 4), 1)]:
        for mode in ("DCR", "CRD"):
            x = rng.normal(0, 1, shape).astype(np.float32)
            yield [x], {"blocksize": block, "mode": mode}


def samples_to_depth(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, block in [((1, 2, 4, 6), 2), ((2, 1, 3, 3), 3), ((1, 3, 4, 4), 1)]:
        yield [rng.normal(0, 1, shape).astype(np.float32)], {"blocksize": block}


OPS = [
    Op(
        name="DepthToSpace",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"blocksize": "i", "mode": "s"},
        infer=infer_to_space,
        reference=reference_to_space,
        cost=cost,
        samples=samples_to_space,
        rtol=EXACT,
        atol=EXACT,
    ),
    Op(
        name="SpaceToDepth",
        inputs=("x",),
        outputs=("y",),
        weights=(),
        attrs={"blocksize": "i"},
        infer=infer_to_depth,
        reference=reference_to_depth,
        cost=cost,
        samples=samples_to_depth,
        rtol=EXACT,
        atol=EXACT,
    ),
]
