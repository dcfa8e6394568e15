"""A layer that ONNX Runtime runs: one session over the layer's own subgraph."""

import ctypes
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime

from coexec.kernels.program.errors import RunError
from coexec.protos import program_pb2

_BF16 = "tensor(bfloat16)"
_BF16_ONNX_TYPE = 16


class OnnxLayer:
    """A session with one thread and no spinning: it computes on the thread that calls it."""

    def __init__(self, layer: program_pb2.Layer) -> None:
        """Raises RunError when ONNX Runtime refuses the subgraph."""
        self._name = layer.name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = onnxruntime.InferenceSession(
                layer.onnx_model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class
            raise RunError(f"layer {self._name}: ONNX Runtime refuses it: {error}") from error
        self.input_names = [value.name for value in self.session.get_inputs()]
        self.output_names = [value.name for value in self.session.get_outputs()]
        outer = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.has_bf16 = any(value.type == _BF16 for value in outer)

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """Arrays in the order of the layer's inputs, results in the order of its outputs.

        Releases the interpreter lock while it computes. Raises RunError with ONNX Runtime's
        own words when a run fails.
        """
        feed = dict(zip(self.input_names, arrays, strict=True))
        try:
            if self.has_bf16:
                return self._run_bf16(feed)
            return list(self.session.run(self.output_names, feed))
        except Exception as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> RunError:
        """What to raise for an exception of the session's."""
        return RunError(f"layer {self._name}: ONNX Runtime failed: {error}")

    def _run_bf16(self, feed: dict[str, Any]) -> list[Any]:
        """ONNX Runtime takes and gives no NumPy arrays of bf16, only values of its own."""
        values = {name: _to_value(array) for name, array in feed.items()}
        results = self.session.run_with_ort_values(self.output_names, values)
        return [_bf16_array(v) if v.data_type() == _BF16 else v.numpy() for v in results]


def _to_value(array: Any) -> onnxruntime.OrtValue:
    if array.dtype == ml_dtypes.bfloat16:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
            np.ascontiguousarray(array).view(np.uint16), _BF16_ONNX_TYPE
        )
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _bf16_array(value: onnxruntime.OrtValue) -> Any:
    """A copy of its elements."""
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(data, ml_dtypes.bfloat16).reshape(value.shape())
