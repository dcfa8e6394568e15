"""A layer that ONNX Runtime runs: one session over the layer's own subgraph."""

from collections.abc import Sequence
from typing import Any

import onnxruntime

from coexec.kernels.program.errors import RunError
from coexec.protos import program_pb2


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
            self._session = onnxruntime.InferenceSession(
                layer.onnx_model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class
            raise RunError(f"layer {self._name}: ONNX Runtime refuses it: {error}") from error
        self._inputs = [value.name for value in self._session.get_inputs()]

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """Arrays in the order of the layer's inputs, results in the order of its outputs.

        Releases the interpreter lock while it computes. Raises RunError with ONNX Runtime's
        own words when a run fails.
        """
        feed = dict(zip(self._inputs, arrays, strict=True))
        try:
            return list(self._session.run(None, feed))
        except Exception as error:
            raise RunError(f"layer {self._name}: ONNX Runtime failed: {error}") from error
