"""A vision transformer, and a fixed mask for its attention."""

import math
from typing import Any

import numpy as np
import onnx

from bench.zoo.builder import Builder


def vit_tiny(
    seed: int = 0, masked: float = 0.0, layers: int = 12, width: int = 192, heads: int = 3
) -> onnx.ModelProto:
    """DeiT-Ti of Touvron et al. (arXiv 2012.12877, table 1): 196 patches of 16x16 pixels and a
    class token. masked: the share of the scores that a constant mask removes, the same in all
    layers, drawn by `attention_mask`."""
    b = Builder("vit_tiny", [1, 3, 224, 224], seed)
    tokens = 197
    w, bias = b.weight([width, 3, 16, 16], 768**-0.5), b.weight([width], 0.1)
    x = b.node("Conv", ["input", w, bias], kernel_shape=[16, 16], strides=[16, 16])
    x = b.reshape(x, [1, width, tokens - 1])
    x = b.node("Transpose", [x], perm=[0, 2, 1])
    x = b.node("Concat", [b.weight([1, 1, width], 1), x], axis=1)
    x = b.node("Add", [x, b.weight([1, tokens, width], 0.1)])
    mask = ""
    if masked:
        keep = attention_mask(tokens, masked, seed)
        array = np.where(keep, np.float32(0), np.float32(-np.inf))[None, None]
        mask = b.constant("mask", array)
    for _ in range(layers):
        y = b.attention(b.layer_norm(x, width), tokens, width, heads, mask)
        x = b.node("Add", [x, y])
        y = b.gelu(b.linear(b.layer_norm(x, width), width, 4 * width))
        x = b.node("Add", [x, b.linear(y, 4 * width, width)])
    first = b.constant("first", np.array(0, np.int64))
    x = b.node("Gather", [b.layer_norm(x, width), first], axis=1)
    return b.finish(b.linear(x, width, 1000))


def attention_mask(tokens: int, masked: float, seed: int) -> Any:
    """Which scores to keep, [tokens, tokens]: the class token's row whole, and of the rest what
    ViTCoD (HPCA'23, section IV) finds in trained networks: a few tokens that all attend to, each
    token's neighbours in the 14x14 grid, and some pairs at random until the rate is reached."""
    rng = np.random.default_rng(seed)
    side = math.isqrt(tokens - 1)
    row, column = np.divmod(np.arange(tokens - 1), side)
    distance = abs(row[:, None] - row) + abs(column[:, None] - column)
    score = rng.random((tokens, tokens))
    score[1:, 1:] += 2.0 * (distance <= 1)
    score[:, rng.choice(tokens, round(tokens * (1 - masked) / 2), replace=False)] += 4.0
    np.fill_diagonal(score, 9.0)
    score[0] = 9.0
    kept = round(tokens * tokens * (1 - masked))
    return score >= np.sort(score, axis=None)[-kept]
