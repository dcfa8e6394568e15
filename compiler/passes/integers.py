"""Which weights int8 layers may have, whoever quantized them."""

from __future__ import annotations

from coexec.compiler.ir import Layer, Value
from coexec.compiler.ir.integers import STATE_MAX, SUM_MAX
from coexec.compiler.passes.sparsify import choose_layout, dense_share, layer_work

W_SCALE, X_SCALE = 4, 5  # operands of Conv and Gemm
RECURRENT = ("LSTM", "GRU")
_OPS = ("Conv", "Gemm", *RECURRENT)
# Of a convolution's group. Below these f32 is faster.
_CHANNELS_MIN = 4
_FILTERS_MIN = 8


def why_not_int8(layer: Layer, operand: str, weight: Value) -> str:
    """Why the layer's weight had better stay f32, or must; "" when it may be int8."""
    if layer.op not in _OPS:
        return f"no int8 kernel for {layer.op}"
    if layer.op == "Conv" and (slower := why_slower(layer, weight)):
        return slower
    limit = STATE_MAX if operand == "r" else SUM_MAX
    if weight.type.elements > limit * scales_of(layer, weight):
        return f"sums of more than {limit} products"
    whole = layer.attrs.get("group", 1) == 1
    if whole and choose_layout(layer_work(layer, weight)) != "dense":
        return "it is sparse, and int8 kernels are dense"
    return ""


def scales_of(layer: Layer, weight: Value) -> int:
    """How many scales the weight has: of LSTM and GRU it is [D, G*H, ...], else [M, ...]."""
    first, second = weight.type.shape[:2]
    return first * second if layer.op in RECURRENT else first


def why_slower(layer: Layer, weight: Value) -> str:
    """Why f32 would be faster than this convolution on int8, as measured on an AVX2 core."""
    group = layer.attrs["group"]
    assert isinstance(group, int)
    filters, channels = weight.type.shape[0] // group, weight.type.shape[1]
    if channels < _CHANNELS_MIN:
        return "too few input channels to sum in pairs"
    if filters < _FILTERS_MIN:
        return "too few filters to pay for quantizing its input"
    return "Winograd in f32 is faster" if dense_share(layer) < 1 else ""
