import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.onnx_import.conftest import Check, OneNode

_RNG = np.random.default_rng(10)
_OPS = (
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    op=st.sampled_from(_OPS),
    opset=st.sampled_from([11, 13, 18]),
    axes=st.sampled_from([None, [0], [-1], [1, 2], [2, 0], [0, 1, 2]]),
    keepdims=st.integers(0, 1),
)
def test_reductions(
    same: Check, op: str, opset: int, axes: list[int] | None, keepdims: int
) -> None:
    x = _RNG.uniform(0.5, 2, (2, 3, 4)).astype(np.float32)
    by_operand = opset >= 18 or (opset >= 13 and op == "ReduceSum")
    attrs: dict[str, object] = {"keepdims": keepdims}
    operands = [x]
    if axes is not None and by_operand:
        operands.append(np.array(axes, np.int64))
    elif axes is not None:
        attrs["axes"] = axes
    same(OneNode(op, operands, attrs, opset=opset, constants=(1,)))


def test_a_reduction_over_no_axes_stays_foreign(same: Check) -> None:
    x = _RNG.random((2, 3)).astype(np.float32)
    case = OneNode("ReduceSumSquare", [x], {"noop_with_empty_axes": 1}, opset=18)
    same(case, foreign="over no axes")


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(
    "attrs", [{}, {"axis": -1, "keepdims": 0}, {"axis": 1, "select_last_index": 1}]
)
def test_arg_extremes(same: Check, op: str, attrs: dict[str, int]) -> None:
    same(OneNode(op, [_RNG.integers(0, 3, (3, 4, 5)).astype(np.float32)], attrs))


@pytest.mark.parametrize("opset", [9, 10, 11])
def test_top_k(same: Check, opset: int) -> None:
    x = _RNG.permutation(24).reshape(2, 12).astype(np.float32)
    attrs: dict[str, object] = {"axis": -1}
    if opset == 9:
        same(OneNode("TopK", [x], {**attrs, "k": 3}, opset=9, outputs=["v", "i"]))
        return
    if opset == 11:
        attrs["largest"] = 0
    k = np.array([3], np.int64)
    same(OneNode("TopK", [x, k], attrs, opset=opset, constants=(1,), outputs=["v", "i"]))


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, None])
def test_softmax(same: Check, op: str, opset: int, axis: int | None) -> None:
    x = _RNG.standard_normal((2, 3, 4)).astype(np.float32)
    same(OneNode(op, [x], {} if axis is None else {"axis": axis}, opset=opset))


def test_batch_normalization(same: Check) -> None:
    x = _RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)
    vectors = [_RNG.uniform(0.5, 2, 3).astype(np.float32) for _ in range(4)]
    attrs = {"epsilon": 1e-3}
    same(OneNode("BatchNormalization", [x, *vectors], attrs, opset=15))
    same(OneNode("BatchNormalization", [x, *vectors], attrs, opset=9, constants=(1, 2, 3, 4)))


def test_instance_and_layer_normalization(same: Check) -> None:
    x = _RNG.standard_normal((2, 4, 3, 5)).astype(np.float32)
    scale, bias = (_RNG.uniform(0.5, 2, 4).astype(np.float32) for _ in range(2))
    same(OneNode("InstanceNormalization", [x, scale, bias], {"epsilon": 1e-3}))
    scale, bias = (_RNG.uniform(0.5, 2, (3, 5)).astype(np.float32) for _ in range(2))
    same(OneNode("LayerNormalization", [x, scale, bias], {"axis": -2}))
    same(OneNode("LayerNormalization", [x, scale], {"axis": 2}))


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(same: Check, opset: int) -> None:
    x = _RNG.standard_normal((2, 6, 4, 5)).astype(np.float32)
    per = 6 if opset == 21 else 3
    scale, bias = (_RNG.uniform(0.5, 2, per).astype(np.float32) for _ in range(2))
    same(OneNode("GroupNormalization", [x, scale, bias], {"num_groups": 3}, opset=opset))
