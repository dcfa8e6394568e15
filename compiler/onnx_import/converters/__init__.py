"""One function per ONNX op: any opset from 7 on, brought to the layer IR's one form."""

from coexec.compiler.onnx_import.converters import (
    convolution,
    elementwise,
    joining,
    matrix,
    normalisation,
    pooling,
    qlinear,
    quantization,
    recurrent,
    reduction,
    resizing,
    shaping,
)
from coexec.compiler.onnx_import.node import Converter

_FAMILIES = (
    convolution, elementwise, joining, matrix, normalisation, pooling, qlinear, quantization,
    recurrent, reduction, resizing, shaping,
)  # fmt: skip

# By domain ("" is ONNX's own) and op type.
CONVERTERS: dict[tuple[str, str], Converter] = {
    ("", op): converter for family in _FAMILIES for op, converter in family.CONVERTERS.items()
}
CONVERTERS[("com.microsoft", "FusedConv")] = convolution.fused_conv
CONVERTERS |= {("com.microsoft", op): f for op, f in qlinear.OF_MICROSOFT.items()}
