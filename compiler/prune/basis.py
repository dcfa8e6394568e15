"""Convolutions as shared basis kernels and coefficients: PENNI, Li et al., ICML 2020, section 3.2.

The C*M two-dimensional kernels of a convolution lie near a subspace of few dimensions. Their
principal components are kept as basis kernels, the same for all channels, and every kernel becomes
a combination of them:

    w[m, c] ~ sum over j of coefficient[m, c, j] * basis[j]

What was one Conv is then two: a depthwise one by the basis, which gives every channel once per
basis kernel, and a 1x1 of the coefficients. The basis comes first, as in ESCALATE (Li et al.,
MICRO 2021): the wide stage is the depthwise one, which is cheap, and the coefficients are an
ordinary weight that any pruning rule and sparse layout applies to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Graph, Layer, TensorType, Value
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.op import Attrs
from coexec.compiler.passes.linear import operand, result


@dataclass(frozen=True, slots=True)
class Decomposed:
    """A convolution that became two. kept_energy: the sum of squares of the kernels that the
    basis spans, as a share of all."""

    layer: str
    bases: int
    taps: int
    kept_energy: float

    def __str__(self) -> str:
        return f"{self.layer}: {self.bases} of {self.taps} taps, energy kept {self.kept_energy:.3f}"


def decompose(graph: Graph, bases: int) -> list[Decomposed]:
    """Replaces every f32 Conv without groups whose kernels have more than `bases` taps, but the
    first Conv of the graph, whose few channels leave nothing to share. Raises CompileError when
    there is none, or `bases` is below 1."""
    if bases < 1:
        raise CompileError(f"{graph.name}: --basis {bases}: at least 1 basis kernel is needed")
    convs = [layer for layer in graph.layers if layer.op == "Conv"]
    chosen = {layer for layer in convs[1:] if _taps(layer) > bases}
    if not chosen:
        raise CompileError(
            f"{graph.name}: --basis {bases}: no convolution after the first has more than {bases} "
            "taps and no groups; give a smaller basis or none"
        )
    done: list[Decomposed] = []
    layers: list[Layer] = []
    for layer in graph.layers:
        if layer in chosen:
            taps = _taps(layer)
            first, kept_energy = _split(layer, bases)
            layers.append(first)
            done.append(Decomposed(layer.name, bases, taps, kept_energy))
        layers.append(layer)
    graph.layers = layers
    return done


def _taps(layer: Layer) -> int:
    """Of each kernel; 0 where the layer's weight cannot be decomposed."""
    weight = operand(layer, 1)
    if weight is None or weight.constant is None or weight.type.dtype != "f32":
        return 0
    if not np.isfinite(weight.constant).all():
        return 0
    return math.prod(weight.type.shape[2:]) if layer.attrs["group"] == 1 else 0


def _split(layer: Layer, bases: int) -> tuple[Layer, float]:
    """Makes the layer the 1x1 of coefficients. The depthwise layer before it, and the share of
    energy kept."""
    x, weight = layer.inputs[0], operand(layer, 1)
    assert x is not None
    assert weight is not None
    assert weight.constant is not None
    kernels: Array = weight.constant
    rows, channels, *window = kernels.shape
    basis, coefficients, kept_energy = principal_components(
        kernels.reshape(rows * channels, -1), bases
    )
    y = result(layer)
    wide = Value(
        f"{y.name}/basis",
        TensorType("f32", (y.type.shape[0], channels * bases, *y.type.shape[2:])),
    )
    repeated = np.tile(basis.reshape(bases, 1, *window), (channels, *[1] * (len(window) + 1)))
    first = Layer(
        "Conv",
        f"{layer.name}/basis",
        [x, _weight(f"{weight.name}/basis", repeated), None, None],
        [wide],
        {**layer.attrs, **NO_ACTIVATION, "group": channels},
    )
    ones = [1] * len(window)
    coefficients = coefficients.reshape(rows, channels * bases, *ones)
    layer.inputs = [wide, _weight(f"{weight.name}/coefficients", coefficients), *layer.inputs[2:]]
    pads = [0] * len(Attrs(layer.attrs).ints("pads"))
    layer.attrs = {
        **layer.attrs,
        "kernel_shape": ones,
        "strides": ones,
        "dilations": ones,
        "pads": pads,
    }
    return first, kept_energy


def principal_components(kernels: Array, bases: int) -> tuple[Array, Array, float]:
    """basis[bases, taps] orthonormal, coefficients[n, bases] with kernels[n, taps] near
    coefficients @ basis, and the share of the sum of squares kept. Computed in double, without
    centring: a mean would be one basis kernel more."""
    wide = kernels.astype(np.float64)
    _, vectors = np.linalg.eigh(wide.T @ wide)
    basis = vectors[:, ::-1][:, :bases].T
    coefficients = wide @ basis.T
    total = float(np.sum(wide**2))
    kept_energy = float(np.sum(coefficients**2)) / total if total else 1.0
    return basis.astype(np.float32), coefficients.astype(np.float32), kept_energy


def _weight(name: str, array: Array) -> Value:
    array = np.ascontiguousarray(array)
    return Value(name, TensorType("f32", array.shape), array)
