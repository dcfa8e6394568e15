"""What holds for every op, walked over its samples, and the wording of the errors."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from coexec.compiler.ir import Array, IrError, Op, TensorType, ops
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.graph import dtype_name
from coexec.compiler.ir.window import window_attrs


def type_of(array: Array | None) -> TensorType | None:
    return None if array is None else TensorType(dtype_name(array.dtype), array.shape)


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_infer_agrees_with_reference(op: Op) -> None:
    count = 0
    for inputs, attrs in op.samples(np.random.default_rng(0)):
        inferred = op.infer_types([type_of(a) for a in inputs], attrs)
        assert inferred == [type_of(y) for y in op.run(inputs, attrs)], attrs
        count += 1
    assert count >= 1


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_reference_leaves_its_operands_alone(op: Op) -> None:
    for inputs, attrs in op.samples(np.random.default_rng(1)):
        before = [None if a is None else a.copy() for a in inputs]
        op.run(inputs, attrs)
        for array, copy in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_cost_is_never_negative_and_shrinks_with_density(op: Op) -> None:
    for inputs, attrs in op.samples(np.random.default_rng(2)):
        types = [type_of(a) for a in inputs]
        full, thin = op.cost_of(types, attrs), op.cost_of(types, attrs, density=0.1)
        assert full.flops >= thin.flops >= 0
        assert full.bytes >= thin.bytes >= 0
        if op.name in ("Gemm", "Conv") and full.flops > 10_000:
            assert thin.flops < 0.3 * full.flops


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_attributes_are_checked(op: Op) -> None:
    inputs, attrs = next(op.samples(np.random.default_rng(3)))
    types = [type_of(a) for a in inputs]
    with pytest.raises(IrError, match=rf"^{op.name}: unknown attributes: colour$"):
        op.infer_types(types, {**attrs, "colour": 1})
    for name in attrs:
        without = {k: v for k, v in attrs.items() if k != name}
        with pytest.raises(IrError, match=rf"^{op.name}: attributes missing: {name}$"):
            op.infer_types(types, without)
        with pytest.raises(IrError, match=rf"^{op.name}: {name} must be an? "):
            op.infer_types(types, {**attrs, name: True})


def test_every_op_of_the_design_page_is_here() -> None:
    page = Path(__file__).parents[3] / "docs/design/2026-11-20-layer-ir.md"
    rows = re.findall(r"^\| ([A-Z][\w, ]*) \|", page.read_text(), re.MULTILINE)
    named = {name for row in rows for name in row.split(", ")}
    assert named - {ops.ONNX_RUNTIME} == set(ops.BY_NAME)


F32 = "f32"


def test_matmul_names_the_mismatch() -> None:
    with pytest.raises(IrError, match=r"^MatMul: k differs, a \(2, 3\), b \(4, 5\)$"):
        ops.BY_NAME["MatMul"].infer_types([TensorType(F32, (2, 3)), TensorType(F32, (4, 5))], {})


def test_conv_names_the_mismatch() -> None:
    attrs = {**window_attrs([3, 3]), "group": 1, **NO_ACTIVATION}
    x, w = TensorType(F32, (1, 3, 8, 8)), TensorType(F32, (4, 2, 3, 3))
    expected = r"^Conv: channels differ, x \(1, 3, 8, 8\), w \(4, 2, 3, 3\), group 1$"
    with pytest.raises(IrError, match=expected):
        ops.BY_NAME["Conv"].infer_types([x, w], attrs)
    with pytest.raises(IrError, match=r"^Conv: a window of 3 does not fit dim 0 of 2"):
        ops.BY_NAME["Conv"].infer_types(
            [TensorType(F32, (1, 2, 2, 8)), TensorType(F32, (4, 2, 3, 3))], attrs
        )


def test_only_weights_may_be_sparse() -> None:
    x, w = TensorType(F32, (1, 8)), TensorType(F32, (4, 8), "bcr")
    assert ops.BY_NAME["Gemm"].infer_types([x, w], {**NO_ACTIVATION}) == [TensorType(F32, (1, 4))]
    with pytest.raises(IrError, match=r"^Add: a must be dense, got f32\[4, 8\] bcr$"):
        ops.BY_NAME["Add"].infer_types([w, x], {})


def test_absent_and_surplus_operands_are_named() -> None:
    x = TensorType(F32, (2, 2))
    with pytest.raises(IrError, match=r"^Add: b is absent$"):
        ops.BY_NAME["Add"].infer_types([x], {})
    with pytest.raises(IrError, match=r"^Relu: takes x, got 2 operands$"):
        ops.BY_NAME["Relu"].infer_types([x, x], {})
    with pytest.raises(IrError, match=r"^Relu: x must have a complete shape"):
        ops.BY_NAME["Relu"].infer_types([TensorType(F32, (-1, 2))], {})


def test_integer_division_truncates() -> None:
    a, b = np.array([-7, 7, -6, 7], np.int64), np.array([2, -2, 3, 2], np.int64)
    assert ops.BY_NAME["Div"].run([a, b], {})[0].tolist() == [-3, -3, -2, 3]
