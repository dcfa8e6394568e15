"""Weights as bf16: the upper half of an f32, rounded to nearest, ties to even. Range and NaN are
kept, 8 of 24 bits of precision are (a relative error of at most 2^-9). Where the machine multiplies
bf16 (AVX-512 BF16, AMX), Gemm and Conv round their input likewise and sum in f32. Elsewhere
computing stays f32: the kernels widen what they load, so a product's only error is the weight's."""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np

from coexec.compiler.ir import Array, Graph
from coexec.compiler.quantize.report import TypedWeight
from coexec.compiler.quantize.weights import typed_operands


def round_to_bf16(array: Array) -> Array:
    """Of f32 elements; what is beyond the largest bf16 by half a step or more becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(ml_dtypes.bfloat16)


def to_bf16(graph: Graph) -> list[TypedWeight]:
    """Gives every weight that may have it the type bf16, in place."""
    report = []
    for layer, operand, value, why_not in typed_operands(graph):
        array = value.constant
        assert array is not None
        rounded = round_to_bf16(array)
        wide = rounded.astype(np.float32)
        if not why_not and (np.isfinite(array) & ~np.isfinite(wide)).any():
            why_not = "it has elements beyond bf16's largest"
        if why_not:
            report.append(TypedWeight(layer.name, operand, "f32", array.size, 0.0, why_not))
            continue
        value.constant = rounded
        value.type = replace(value.type, dtype="bf16")
        report.append(
            TypedWeight(layer.name, operand, "bf16", array.size, _rounding_error(array, wide))
        )
    return report


def _rounding_error(array: Array, rounded: Array) -> float:
    finite = np.isfinite(array)
    exact = array[finite].astype(np.float64)
    total = float(np.sum(exact**2))
    return float(np.sqrt(np.sum((rounded[finite] - exact) ** 2) / total)) if total else 0.0
