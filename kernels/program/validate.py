"""What must hold of a program before anything trusts its indices."""

import math
from collections.abc import Iterable

from coexec.kernels.program.errors import FormatError
from coexec.protos import program_pb2

_DTYPES = {
    "bool", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64",
    "string", "opaque",
}  # fmt: skip
LAYOUTS = ("dense", "bcr", "csr", "pattern", "nm")
_BYTES_MAX = 1 << 40
ONNX_RUNTIME = "OnnxRuntime"


def validate(program: program_pb2.Program, where: str) -> None:
    """Raise FormatError, naming `where`, unless every layer reads what exists before it."""
    for tensor in program.tensors:
        _check_type(tensor, where)
    count = len(program.tensors)
    ready = {i for i, tensor in enumerate(program.tensors) if tensor.constant}
    ready.update(_in_range(program.inputs, count, f"{where}: an input"))
    for layer in program.layers:
        what = f"{where}: layer {layer.name!r}"
        inputs = [i for i in layer.inputs if i != -1]
        missing = [i for i in _in_range(inputs, count, what) if i not in ready]
        if missing:
            name = program.tensors[missing[0]].name
            raise FormatError(f"{what} reads {name!r} before it is computed")
        for output in _in_range([i for i in layer.outputs if i != -1], count, what):
            if output in ready:
                raise FormatError(f"{what} computes {program.tensors[output].name!r} again")
            ready.add(output)
        if layer.op != ONNX_RUNTIME:
            _check_static(program, [*inputs, *(i for i in layer.outputs if i != -1)], what)
            if not layer.inputs or not layer.outputs:
                raise FormatError(f"{what} is native, but reads or computes nothing")
        if layer.op == "Reshape":
            _check_reshape(program, layer, what)
        if layer.op == "Concat":
            _check_concat(program, layer, what)
    for output in _in_range(program.outputs, count, f"{where}: an output"):
        tensor = program.tensors[output]
        if output not in ready or tensor.constant or output in program.inputs:
            raise FormatError(f"{where}: output {tensor.name!r} is not computed by a layer")


def _check_type(tensor: program_pb2.Tensor, where: str) -> None:
    kind = tensor.type
    if kind.dtype not in _DTYPES or kind.layout not in ("", *LAYOUTS):
        raise FormatError(
            f"{where}: tensor {tensor.name!r} has dtype {kind.dtype!r}, layout {kind.layout!r}; "
            f"expected one of {', '.join(sorted(_DTYPES))} and {', '.join(LAYOUTS)}"
        )
    elements = 1
    for dim in kind.shape:
        elements *= max(dim, 1)
        if dim < -1 or elements > _BYTES_MAX or (tensor.constant and dim < 0):
            raise FormatError(f"{where}: tensor {tensor.name!r} has shape {list(kind.shape)}")


def _check_static(program: program_pb2.Program, tensors: list[int], what: str) -> None:
    for i in tensors:
        if any(dim < 0 for dim in program.tensors[i].type.shape):
            raise FormatError(
                f"{what} is native, but {program.tensors[i].name!r} has no fixed shape"
            )


def _check_reshape(program: program_pb2.Program, layer: program_pb2.Layer, what: str) -> None:
    """Its result may be its operand's memory under another shape, with no kernel to refuse it."""
    if len(layer.inputs) != 1 or len(layer.outputs) != 1 or -1 in (*layer.inputs, *layer.outputs):
        raise FormatError(f"{what} must have one operand and one result")
    x, y = (program.tensors[i].type for i in (*layer.inputs, *layer.outputs))
    if x.dtype != y.dtype or math.prod(x.shape) != math.prod(y.shape):
        raise FormatError(
            f"{what} cannot make {y.dtype}{list(y.shape)} of {x.dtype}{list(x.shape)}"
        )


def _check_concat(program: program_pb2.Program, layer: program_pb2.Layer, what: str) -> None:
    """Its operands may be made in its result's memory, with no kernel to refuse them."""
    if len(layer.outputs) != 1 or -1 in (*layer.inputs, *layer.outputs):
        raise FormatError(f"{what} must have one result and no absent operand")
    whole = program.tensors[layer.outputs[0]].type
    parts = [program.tensors[i].type for i in layer.inputs]
    axis = layer.attrs["axis"].i if "axis" in layer.attrs else -1
    if 0 <= axis < len(whole.shape):
        made = list(whole.shape)
        made[axis] = sum(part.shape[axis] for part in parts if len(part.shape) == len(made))
        rest = [[*part.shape[:axis], *part.shape[axis + 1 :]] for part in parts]
        same = all(other == [*made[:axis], *made[axis + 1 :]] for other in rest)
        if same and made == list(whole.shape) and {part.dtype for part in parts} == {whole.dtype}:
            return
    shapes = ", ".join(f"{part.dtype}{list(part.shape)}" for part in parts)
    raise FormatError(
        f"{what} cannot join {shapes} along axis {axis} to {whole.dtype}{list(whole.shape)}"
    )


def _in_range(indices: Iterable[int], count: int, what: str) -> list[int]:
    listed = list(indices)
    for i in listed:
        if not 0 <= i < count:
            raise FormatError(f"{what} names tensor {i}, but there are {count}")
    return listed
