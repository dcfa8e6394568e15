"""Unary functions, as ops of their own and as the `activation` of a Conv, Gemm or
ConvTranspose. All are defined in double and rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from coexec.compiler.ir.integers import LEVELS
from coexec.compiler.ir.op import Array, Attrs

Function = Callable[[Array, float, float], Array]


def sigmoid(x: Array) -> Array:
    # exp of a non-positive number only: no overflow on either side.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def erf(x: Array) -> Array:
    flat = (math.erf(v) for v in x.ravel())
    return np.fromiter(flat, dtype=np.float64, count=x.size).reshape(x.shape)


def gelu(x: Array, approximate: str) -> Array:
    """Hendrycks and Gimpel, arXiv 1606.08415: x * Phi(x), or its tanh form."""
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)
        return 0.5 * x * (1.0 + np.tanh(inner))
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def hard_sigmoid(x: Array, alpha: float, beta: float) -> Array:
    return np.clip(alpha * x + beta, 0.0, 1.0)


def clip(x: Array, low: float, high: float) -> Array:
    """Integers are compared as integers: a double cannot hold every i64."""
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        low, high = int(max(low, limits.min)), int(min(high, limits.max))
    return np.minimum(np.maximum(x, low), high)


def fake_quantize(x: Array, scale: float, zero: float) -> Array:
    """To uint8 and back. In f32 and by the reciprocal, as int8 layers quantize what they read; NaN
    becomes the least."""
    steps = x.astype(np.float32) * (np.float32(1) / np.float32(scale))
    inside = np.rint(np.minimum(np.fmax(steps, -zero), LEVELS - zero))
    result: Array = (inside * np.float32(scale)).astype(x.dtype)
    return result


def _exp_below(x: Array, alpha: float) -> Array:
    """alpha * (exp(x) - 1) where x < 0, without overflow where it is not used."""
    return alpha * np.expm1(np.minimum(x, 0.0))


# Functions without parameters.
PLAIN: dict[str, Callable[[Array], Array]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": sigmoid,
    "Tanh": np.tanh,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Abs": np.abs,
    "Neg": np.negative,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Round": np.rint,
    "Reciprocal": lambda x: 1.0 / x,
    "Sign": np.sign,
    "Sin": np.sin,
    "Cos": np.cos,
    "Erf": erf,
    "Softplus": softplus,
    "Softsign": lambda x: x / (1.0 + np.abs(x)),
    "HardSwish": lambda x: x * hard_sigmoid(x, 1.0 / 6.0, 0.5),
    "Mish": lambda x: x * np.tanh(softplus(x)),
    "Silu": lambda x: x * sigmoid(x),
}

# As an op of its own this is one with an attribute.
GELU: dict[str, Callable[[Array], Array]] = {
    "Gelu": lambda x: gelu(x, "none"),
    "GeluTanh": lambda x: gelu(x, "tanh"),
}

# Functions of one or two parameters, with the names of the op's attributes that give them.
PARAMETERIZED: dict[str, tuple[tuple[str, ...], Function]] = {
    "LeakyRelu": (("alpha",), lambda x, a, _: np.where(x < 0, a * x, x)),
    "Elu": (("alpha",), lambda x, a, _: np.where(x < 0, _exp_below(x, a), x)),
    "Celu": (
        ("alpha",),
        lambda x, a, _: np.maximum(x, 0.0) + np.minimum(a * np.expm1(np.minimum(x, 0.0) / a), 0.0),
    ),
    "ThresholdedRelu": (("alpha",), lambda x, a, _: np.where(x > a, x, 0.0)),
    "Selu": (
        ("alpha", "gamma"),
        lambda x, a, g: g * np.where(x < 0, _exp_below(x, a), x),
    ),
    "HardSigmoid": (("alpha", "beta"), hard_sigmoid),
    "Clip": (("min", "max"), clip),
    "FakeQuantize": (("scale", "zero"), fake_quantize),
}

ACTIVATION_ATTRS = {"activation": "s", "activation_alpha": "f", "activation_beta": "f"}
NO_ACTIVATION: dict[str, str | float] = {
    "activation": "",
    "activation_alpha": 0.0,
    "activation_beta": 0.0,
}
# One of each that passes fuse, for samples: name, alpha, beta.
FUSED_SAMPLES = (
    ("Relu", 0.0, 0.0), ("Clip", 0.0, 6.0), ("LeakyRelu", 0.1, 0.0), ("HardSwish", 0.0, 0.0),
    ("HardSigmoid", 0.2, 0.5), ("Sigmoid", 0.0, 0.0), ("Silu", 0.0, 0.0), ("Tanh", 0.0, 0.0),
    ("Elu", 0.7, 0.0), ("Gelu", 0.0, 0.0), ("GeluTanh", 0.0, 0.0), ("FakeQuantize", 0.05, 90.0),
)  # fmt: skip
ACTIVATIONS = frozenset(PLAIN) | frozenset(GELU) | frozenset(PARAMETERIZED)


def activate(x: Array, attrs: Attrs) -> Array:
    """x, in double, through the layer's activation; "" leaves it as it is."""
    name = attrs.s("activation")
    if not name:
        return x
    if name in PLAIN:
        return PLAIN[name](x)
    if name in GELU:
        return GELU[name](x)
    return PARAMETERIZED[name][1](x, attrs.f("activation_alpha"), attrs.f("activation_beta"))
