"""The references against ONNX Runtime, which computes every sample exported to ONNX. So the
export is tested too."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from coexec.compiler.ir import Array, Layer, Op, TensorType, Value, ops
from coexec.compiler.ir.graph import dtype_name
from coexec.compiler.ir.op import Sample
from coexec.compiler.onnx_export import to_onnx


def run_exported(op: Op, sample: Sample, expected: list[Array]) -> list[Array] | None:
    """The sample's results; None where ONNX Runtime has no kernel for the dtype, or computes
    something else than ONNX says."""
    arrays, attrs = sample
    pads = attrs.get("pads")
    if (
        op.name == "Pad"
        and isinstance(pads, list)
        and min(pads) < 0
        and attrs["mode"] != "constant"
    ):
        return None  # it crops after it mirrors
    operands = [None if a is None else _value(f"x{i}", a) for i, a in enumerate(arrays)]
    results = [_value(f"y{i}", a) for i, a in enumerate(expected)]
    x = operands[0]
    assert x is not None
    feed, x.constant = {"in/0": x.constant}, None
    layer = Layer(op.name, op.name, list(operands), list(results), dict(attrs))
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        model = to_onnx([layer], [x], results).SerializeToString()
        session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        return None
    return [np.asarray(y) for y in session.run(None, feed)]


def _value(name: str, array: Array) -> Value:
    array = np.asarray(array)
    return Value(name, TensorType(dtype_name(array.dtype), array.shape), array)


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_reference_agrees_with_onnxruntime(op: Op) -> None:
    compared = 0
    for sample in op.samples(np.random.default_rng(7)):
        inputs, attrs = sample
        expected = op.run(inputs, attrs)
        results = run_exported(op, sample, expected)
        if results is None:
            continue
        compared += 1
        for ours, theirs in zip(expected, results, strict=True):
            assert ours.shape == theirs.shape, attrs
            assert ours.dtype == theirs.dtype, attrs
            # Both sides are rounded, so twice the op's own tolerance.
            np.testing.assert_allclose(
                ours, theirs, rtol=2 * op.rtol, atol=2 * op.atol, err_msg=str(attrs)
            )
    assert compared > 0
