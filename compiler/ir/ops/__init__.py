"""Every op of the layer IR by its name. A layer named ONNX_RUNTIME is not an op: it holds a model
of its own, and only ONNX Runtime knows what it computes."""

from coexec.compiler.ir.op import Op
from coexec.compiler.ir.ops import (
    arg_reduce,
    attention,
    batch_norm,
    binary,
    cast,
    concat,
    conv,
    conv_transpose,
    depth_space,
    expand,
    gather,
    gemm,
    gru,
    instance_norm,
    layer_norm,
    lookup,
    lstm,
    matmul,
    pad,
    pool,
    quantize_linear,
    reduction,
    reshape,
    resize,
    slice,
    softmax,
    split,
    tile,
    top_k,
    transpose,
    unary,
    where,
)

ALL: list[Op] = [
    *conv.OPS, *conv_transpose.OPS, *gemm.OPS, *matmul.OPS, *attention.OPS, *lstm.OPS, *gru.OPS,
    *pool.OPS, *batch_norm.OPS, *instance_norm.OPS, *layer_norm.OPS, *softmax.OPS, *unary.OPS,
    *binary.OPS, *where.OPS, *cast.OPS, *quantize_linear.OPS, *lookup.OPS, *reduction.OPS,
    *arg_reduce.OPS, *top_k.OPS, *resize.OPS, *concat.OPS, *split.OPS, *slice.OPS, *pad.OPS,
    *transpose.OPS, *reshape.OPS, *gather.OPS, *expand.OPS, *tile.OPS, *depth_space.OPS,
]  # fmt: skip

BY_NAME: dict[str, Op] = {op.name: op for op in ALL}
assert len(BY_NAME) == len(ALL), "two ops share a name"

ONNX_RUNTIME = "OnnxRuntime"

__all__ = ["ALL", "BY_NAME", "ONNX_RUNTIME"]
