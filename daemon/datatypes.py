"""The protocol's data types beside our dtype names."""

from __future__ import annotations

from dataclasses import dataclass

from coexec.protos import model_config_pb2 as config_pb


@dataclass(frozen=True, slots=True)
class DataType:
    """wire: the name in requests. dtype: ours. item_bytes: 0 for BYTES, whose elements vary.
    contents: the field of InferTensorContents that holds it; "" for types that must go raw."""

    wire: str
    dtype: str
    config: config_pb.DataType
    item_bytes: int
    contents: str


_ALL = (
    DataType("BOOL", "bool", config_pb.TYPE_BOOL, 1, "bool_contents"),
    DataType("UINT8", "u8", config_pb.TYPE_UINT8, 1, "uint_contents"),
    DataType("UINT16", "u16", config_pb.TYPE_UINT16, 2, "uint_contents"),
    DataType("UINT32", "u32", config_pb.TYPE_UINT32, 4, "uint_contents"),
    DataType("UINT64", "u64", config_pb.TYPE_UINT64, 8, "uint64_contents"),
    DataType("INT8", "i8", config_pb.TYPE_INT8, 1, "int_contents"),
    DataType("INT16", "i16", config_pb.TYPE_INT16, 2, "int_contents"),
    DataType("INT32", "i32", config_pb.TYPE_INT32, 4, "int_contents"),
    DataType("INT64", "i64", config_pb.TYPE_INT64, 8, "int64_contents"),
    DataType("FP16", "f16", config_pb.TYPE_FP16, 2, ""),
    DataType("BF16", "bf16", config_pb.TYPE_BF16, 2, ""),
    DataType("FP32", "f32", config_pb.TYPE_FP32, 4, "fp32_contents"),
    DataType("FP64", "f64", config_pb.TYPE_FP64, 8, "fp64_contents"),
    DataType("BYTES", "string", config_pb.TYPE_STRING, 0, "bytes_contents"),
)
BY_WIRE = {row.wire: row for row in _ALL}
BY_DTYPE = {row.dtype: row for row in _ALL}
BY_CONFIG = {row.config: row for row in _ALL}
