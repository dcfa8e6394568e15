"""Runs one layer through our kernels and one ONNX node through ONNX Runtime, for the tests
that compare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from coexec.kernels import _kernels

Array: TypeAlias = npt.NDArray[Any]

_NAMES = {
    "bool": "bool", "uint8": "u8", "int8": "i8", "int32": "i32", "int64": "i64",
    "float16": "f16", "float32": "f32", "float64": "f64",
    "uint16": "u16", "int16": "i16",
}  # fmt: skip
# A team of one core and, where the machine allows it, one of two.
TEAMS = [_kernels.Team(_kernels.available_cores()[:n]) for n in (1, 2)]


def type_of(array: Array) -> _kernels.TensorType:
    return _kernels.TensorType(_NAMES[array.dtype.name], list(array.shape))


def _bytes(array: Array) -> _kernels.Bytes:
    return np.frombuffer(bytearray(array.tobytes()), np.uint8)


def make_step(
    op: str, attrs: dict[str, _kernels.AttrValue], inputs: Sequence[Array], outputs: Sequence[Array]
) -> _kernels.Step:
    return _kernels.Step(
        op, attrs, [type_of(x) for x in inputs], [type_of(y) for y in outputs], [None] * len(inputs)
    )


def run_native(
    op: str, attrs: dict[str, _kernels.AttrValue], inputs: Sequence[Array], like: Sequence[Array]
) -> list[Array]:
    """The outputs of one layer, shaped and typed as `like`. Checks that one thread and two give
    the same bits, and that every output element is written."""
    inputs = [np.asarray(x) for x in inputs]  # arithmetic on 0-d arrays gives scalars
    step = make_step(op, attrs, inputs, like)
    place = _kernels.Place
    segment = _kernels.Segment(
        [type_of(x) for x in inputs],
        [type_of(y) for y in like],
        [],
        [
            _kernels.SegmentStep(
                "layer",
                step,
                [_kernels.Operand(place.INPUT, i) for i in range(len(inputs))],
                [_kernels.Operand(place.OUTPUT, i) for i in range(len(like))],
            )
        ],
        0,
    )
    results = []
    for fill, team in zip((0x00, 0xFF), TEAMS, strict=True):
        outputs = [np.full(y.nbytes, fill, np.uint8) for y in like]
        segment.run([_bytes(x) for x in inputs], outputs, team)
        results.append([y.tobytes() for y in outputs])
    assert results[0] == results[1], "one thread and two give different bits"
    return [
        np.frombuffer(data, y.dtype).reshape(y.shape)
        for data, y in zip(results[0], like, strict=True)
    ]


def run_onnxruntime(
    op: str,
    attrs: dict[str, Any],
    inputs: Sequence[Array | None],
    *,
    outputs: int = 1,
    opset: int = 20,
    constants: Sequence[int] = (),
) -> list[Array]:
    """The outputs of one ONNX node; None is an absent input, `constants` become initializers."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    present = [(n, x, i in constants) for i, (n, x) in enumerate(zip(names, inputs, strict=True))
               if x is not None]  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attrs)],
        "one",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
            for n, x, constant in present
            if not constant
        ],
        [onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs)],
        [numpy_helper.from_array(x, n) for n, x, constant in present if constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {n: np.asarray(x) for n, x, constant in present if not constant}
    return [np.asarray(y) for y in session.run(None, feeds)]


def assert_close(got: Array, expected: Array, *, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if got.dtype.kind == "f" and (rtol or atol):
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)
    else:
        np.testing.assert_array_equal(got, expected)
