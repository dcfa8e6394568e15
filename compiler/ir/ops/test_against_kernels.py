"""The kernels against the references: every sample that a kernel takes, in every layout its
weights may have, on one thread and on several."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from coexec.compiler.ir import Array, AttrValue, Op, ops
from coexec.compiler.ir.graph import dtype_name, np_dtype
from coexec.kernels import _kernels
from coexec.kernels._kernels import Operand, Place

_ABSENT = _kernels.TensorType("none", [])
_TEAM = _kernels.Team(_kernels.available_cores()[:2])


def _type(array: Array | None, layout: str = "dense") -> _kernels.TensorType:
    if array is None:
        return _ABSENT
    return _kernels.TensorType(dtype_name(array.dtype), list(array.shape), layout)


def _bytes(array: Array) -> _kernels.Bytes:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def run_kernel(
    op: Op, inputs: list[Array | None], attrs: dict[str, AttrValue], layout: str
) -> list[Array] | None:
    """The kernel's results, or None when none takes this layer. Weights are constants."""
    names = [name.rstrip("?") for name in op.inputs]
    weight = [i < len(names) and names[i] in op.weights for i in range(len(inputs))]
    types = [_type(a, layout if w else "dense") for a, w in zip(inputs, weight, strict=True)]
    expected = op.run(inputs, attrs)
    constants = [
        _kernels.Constant.copied(t, _bytes(a)) if w and a is not None else None
        for a, t, w in zip(inputs, types, weight, strict=True)
    ]
    try:
        step = _kernels.Step(op.name, attrs, types, [_type(y) for y in expected], constants)
    except _kernels.UnsupportedLayerError:
        return None
    held = [c for c in constants if c is not None]
    fed = [a for a, w in zip(inputs, weight, strict=True) if a is not None and not w]
    operands, inputs_seen, constants_seen = [], 0, 0
    for array, is_weight in zip(inputs, weight, strict=True):
        if array is None:
            operands.append(Operand(Place.NONE))
        elif is_weight:
            operands.append(Operand(Place.CONSTANT, constants_seen))
            constants_seen += 1
        else:
            operands.append(Operand(Place.INPUT, inputs_seen))
            inputs_seen += 1
    results = [Operand(Place.OUTPUT, i) for i in range(len(expected))]
    steps = [_kernels.SegmentStep(op.name, step, operands, results)]
    segment = _kernels.Segment(
        [_type(a) for a in fed], [_type(y) for y in expected], held, steps, 0
    )
    outputs = [np.full(y.nbytes, 0xCD, np.uint8) for y in expected]
    segment.run([_bytes(a) for a in fed], outputs, _TEAM)
    return [
        out.view(np_dtype(dtype_name(y.dtype))).reshape(y.shape)
        for out, y in zip(outputs, expected, strict=True)
    ]


def _cases(op: Op) -> Iterator[tuple[list[Array | None], dict[str, AttrValue], str]]:
    for inputs, attrs in op.samples(np.random.default_rng(11)):
        if any(a is not None and a.size == 0 for a in (*inputs, *op.run(inputs, attrs))):
            continue  # the compiler leaves empty tensors to ONNX Runtime
        yield list(inputs), attrs, "dense"
        for layout in ("bcr", "csr") if op.weights else ():
            thin = list(inputs)
            for i, name in enumerate(op.inputs[: len(thin)]):
                array = thin[i]
                if name in op.weights and array is not None:
                    rng = np.random.default_rng(i)
                    thin[i] = array * (rng.random(array.shape) < 0.3).astype(array.dtype)
            yield thin, attrs, layout


@pytest.mark.parametrize(
    "op", [op for op in ops.ALL if op.name in _kernels.native_ops()], ids=lambda op: op.name
)
def test_kernel_agrees_with_reference(op: Op) -> None:
    ran = set()
    for inputs, attrs, layout in _cases(op):
        results = run_kernel(op, inputs, attrs, layout)
        if results is None:
            continue
        ran.add(layout)
        for ours, theirs in zip(results, op.run(inputs, attrs), strict=True):
            np.testing.assert_allclose(
                ours,
                theirs,
                rtol=op.rtol,
                atol=op.atol,
                err_msg=f"{layout} {attrs} {[a is not None and a.shape for a in inputs]}",
            )
    assert "dense" in ran
    if op.name in ("Conv", "Gemm", "LSTM", "GRU"):
        assert ran == {"dense", "bcr", "csr"}
