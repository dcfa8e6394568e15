"""ONNX's element types and type records, and ours."""

from __future__ import annotations

import onnx

from coexec.compiler.ir.graph import TensorType

_NAMES = {
    "BOOL": "bool", "UINT8": "u8", "UINT16": "u16", "UINT32": "u32", "UINT64": "u64",
    "INT8": "i8", "INT16": "i16", "INT32": "i32", "INT64": "i64", "FLOAT16": "f16",
    "BFLOAT16": "bf16", "FLOAT": "f32", "DOUBLE": "f64", "STRING": "string",
}  # fmt: skip
_ELEM_TYPES = {
    name: onnx.TensorProto.DataType.Value(onnx_name) for onnx_name, name in _NAMES.items()
}
# Dtypes a native layer may read or write, and that cross between ONNX Runtime and native layers.
NATIVE_DTYPES = frozenset(_NAMES.values()) - {"string", "bf16"}


def dtype_of(elem_type: int) -> str:
    """Our name of an ONNX element type; for one the IR does not know, ONNX's own in lower case."""
    try:
        name = onnx.TensorProto.DataType.Name(elem_type)
    except ValueError:
        return f"unknown element type {elem_type}"
    return _NAMES.get(name, name.lower())


def elem_type_of(dtype: str) -> int:
    return _ELEM_TYPES[dtype]


def static_type(proto: onnx.TypeProto) -> TensorType | None:
    """The type when it is a tensor of a dtype native layers take, with a complete shape."""
    if proto.WhichOneof("value") != "tensor_type" or not proto.tensor_type.HasField("shape"):
        return None
    dtype = dtype_of(proto.tensor_type.elem_type)
    dims = proto.tensor_type.shape.dim
    if dtype not in NATIVE_DTYPES or not all(d.HasField("dim_value") for d in dims):
        return None
    if any(d.dim_value < 0 for d in dims):
        return None
    return TensorType(dtype, tuple(d.dim_value for d in dims))


def loose_type(proto: onnx.TypeProto) -> TensorType:
    """The type with -1 where a dim is not known; "opaque" for what is no tensor, has a dtype
    the IR lacks, or not even a known rank."""
    dtype = dtype_of(proto.tensor_type.elem_type)
    if not proto.tensor_type.HasField("shape") or dtype not in _ELEM_TYPES:
        return TensorType("opaque", ())
    known = (d.dim_value if d.HasField("dim_value") else -1 for d in proto.tensor_type.shape.dim)
    return TensorType(dtype, tuple(max(d, -1) for d in known))


def described(proto: onnx.TypeProto) -> str:
    """The type in words, for a reason."""
    kind = proto.WhichOneof("value")
    if kind is None:
        return "of a type known only at run time"
    if kind != "tensor_type":
        return f"a {kind.removesuffix('_type').removesuffix('_tensor')}"
    dtype = dtype_of(proto.tensor_type.elem_type)
    if not proto.tensor_type.HasField("shape"):
        return f"{dtype} of any rank"
    dims = (
        str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?"
        for d in proto.tensor_type.shape.dim
    )
    return f"{dtype}[{', '.join(dims)}]"


def type_proto(type: TensorType) -> onnx.TypeProto:
    """Of a dense type with a complete shape and a dtype the IR knows."""
    made: onnx.TypeProto = onnx.helper.make_tensor_type_proto(
        elem_type_of(type.dtype), list(type.shape)
    )
    return made


def is_crossable(type: onnx.TypeProto) -> bool:
    """May a value of this type pass between ONNX Runtime and native layers?"""
    return static_type(type) is not None
