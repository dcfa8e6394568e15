"""A model that is one ONNX Runtime layer, run from and to arrays by name."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from coexec.kernels.program.onnx_layer import OnnxLayer

# Inputs up to here are copied. Larger ones are bound where they lie, which takes a call each.
_COPIED_BYTES_MAX = 1 << 16


class WholeModel:
    """Runs of the session with memory bound to it. A run by names lets ONNX Runtime look up and
    check every array again, in Python that other programs have put out of the caches by then: a
    small model took 4 % longer. Inputs are copied into memory of its own that is bound once."""

    def __init__(self, layer: OnnxLayer) -> None:
        """The layer's inputs and outputs are tensors of numbers that NumPy knows."""
        self.us = 0.0  # of the last run
        session: Any = layer.session
        self._layer = layer
        self._binding = session.io_binding()
        self._call = session.run_with_iobinding
        self._results = self._binding.copy_outputs_to_cpu
        self._outputs_vary = False  # in shape, from run to run
        # Name, shape and dtype of each input, and the memory it is copied to, if it is.
        self._inputs: list[tuple[str, tuple[int, ...], Any, npt.NDArray[Any] | None]] = []

    def bind(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Makes ready for inputs like these, one for each of the layer's."""
        self._inputs = []
        self._bind_outputs()
        for name, array in arrays.items():
            held = None
            if array.nbytes <= _COPIED_BYTES_MAX:
                held = np.empty_like(array, order="C", subok=False)
                value = onnxruntime.OrtValue.ortvalue_from_numpy(held)
                self._binding.bind_ortvalue_input(name, value)
            self._inputs.append((name, array.shape, array.dtype, held))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Arrays by input name -> arrays by output name. None, and nothing is run, unless there
        is just one for each input, like the ones bound for. Raises RunError when the run fails."""
        if len(inputs) != len(self._inputs):
            return None
        try:
            for name, shape, dtype, held in self._inputs:
                given = inputs[name]
                if given.shape != shape:
                    return None
                if held is not None:
                    np.copyto(held, given, "no")
                elif given.dtype == dtype and given.flags.c_contiguous:
                    self._binding.bind_cpu_input(name, given)
                else:
                    return None
        except (KeyError, AttributeError, TypeError):
            return None
        start = time.perf_counter()
        if self._outputs_vary:
            self._bind_outputs()
        try:
            self._call(self._binding)
        except Exception:  # ONNX Runtime's exceptions share no base class
            self._run_with_new_outputs()
        self.us = (time.perf_counter() - start) * 1e6
        return dict(zip(self._layer.output_names, self._results(), strict=True))

    def _run_with_new_outputs(self) -> None:
        """ONNX Runtime writes to the outputs of the last run, and refuses when shapes differ."""
        self._bind_outputs()
        try:
            self._call(self._binding)
        except Exception as error:
            raise self._layer.failure(error) from error
        self._outputs_vary = True

    def _bind_outputs(self) -> None:
        """To memory that the next run makes."""
        for name in self._layer.output_names:
            self._binding.bind_output(name)
