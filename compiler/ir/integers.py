"""Products on integers (Jacob et al., CVPR 2018, section 2): what int8 weights and the scales
beside them stand for. x becomes q = clip(rint(x / scale), -zero, 255 - zero) with x_scale = [scale,
zero]; a sum of q * w times scale * w_scale[m] is the product. Weights are in -127..127
where we quantize; those a model brings may be -128 in Conv and Gemm.

A recurrent layer's state is in -1..1, so its scale is known: 2048 steps make up 1."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.graph import TensorType
from coexec.compiler.ir.op import Array, require, require_float_weights

LEVELS = 255  # of an activation
WEIGHT_MAX = 127
SUM_MAX = 65536  # products that a sum in int32 holds
STATE_STEPS = 2048
STATE_MAX = 8192  # of a state's steps by weights, likewise


def check_weight(
    op: str,
    x: TensorType,
    w: TensorType,
    w_scale: TensorType | None,
    x_scale: TensorType | None,
) -> None:
    """w is of i8 with its scales, or of x's dtype without. Raises IrError otherwise."""
    if w.dtype != "i8":
        require_float_weights(op, x, w=w)
        require(not w_scale and not x_scale, f"{op}: scales are for w of i8")
        return
    require(x.dtype == "f32", f"{op}: x must be f32 for w of i8, got {x.dtype}")
    require_scale(op, "w_scale", w_scale, w.shape[0])
    require_scale(op, "x_scale", x_scale, 2)


def require_scale(op: str, name: str, scale: TensorType | None, *shape: int) -> None:
    fits = TensorType("f32", shape)
    require(scale == fits, f"{op}: {name} must be {fits} for weights of i8, got {scale}")


def integers_of(x: Array, x_scale: Array) -> Array:
    """The integers that stand for x, less the zero point: float64, so that sums are exact."""
    scale, zero = x_scale
    inside = np.clip(x * (np.float32(1) / scale), -zero, LEVELS - zero)
    whole: Array = np.rint(inside).astype(np.float64)
    return whole


def integers_of_state(h: Array) -> Array:
    """The same of a state."""
    whole: Array = np.rint(np.clip(h.astype(np.float32), -1, 1) * STATE_STEPS).astype(np.float64)
    return whole


def products(sums: Array, scale: Array) -> Array:
    """Of exact sums, with the scale of x times that of w, rounded to f32 where kernels round."""
    rounded: Array = sums.astype(np.float32) * scale
    return rounded.astype(np.float64)
