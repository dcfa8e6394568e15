"""The NumPy side of the format's dtype names."""

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

_NUMPY: dict[str, npt.DTypeLike] = {
    "bool": np.bool_, "u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64,
    "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "f16": np.float16,
    "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64, "string": np.object_,
}  # fmt: skip


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype for a dtype name. Raises KeyError for "opaque"."""
    return np.dtype(_NUMPY[name])
