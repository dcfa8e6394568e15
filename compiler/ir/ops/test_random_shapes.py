"""Random shapes and attributes: the reference against ONNX Runtime, the kernel against the
reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from coexec.compiler.ir import Array, AttrValue, ops
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.ops import test_against_kernels as kernels
from coexec.compiler.ir.ops import test_against_onnxruntime as runtime

# Op, operands, attributes.
Case = tuple[str, list[Array | None], dict[str, AttrValue]]


def _array(draw: st.DrawFn, shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if np.dtype(dtype).kind == "f":
        return np.asarray(rng.normal(0, 1, shape), dtype)
    return np.asarray(rng.integers(1, 9, shape), dtype)


def _window(draw: st.DrawFn, rank: int, pad_max: int = 2) -> dict[str, AttrValue]:
    def numbers(least: int, most: int, count: int = rank) -> list[int]:
        return draw(st.lists(st.integers(least, most), min_size=count, max_size=count))

    return {
        "kernel_shape": numbers(1, 4),
        "strides": numbers(1, 3),
        "pads": numbers(0, pad_max, 2 * rank),
        "dilations": numbers(1, 2),
    }


def _spatial(draw: st.DrawFn, attrs: dict[str, AttrValue]) -> tuple[int, ...]:
    """Large enough for one window without its padding."""
    kernel, dilations = attrs["kernel_shape"], attrs["dilations"]
    assert isinstance(kernel, list)
    assert isinstance(dilations, list)
    return tuple(
        int((k - 1) * d + 1 + draw(st.integers(0, 12)))
        for k, d in zip(kernel, dilations, strict=True)
    )


@st.composite
def conv(draw: st.DrawFn, transposed: bool) -> Case:
    attrs = _window(draw, draw(st.integers(1, 2)), pad_max=0 if transposed else 2)
    kernel = attrs["kernel_shape"]
    assert isinstance(kernel, list)
    group, per_in, per_out = draw(
        st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
    )
    first, second = (group * per_in, per_out) if transposed else (group * per_out, per_in)
    w_shape = (first, second, *(int(k) for k in kernel))
    x = _array(draw, (draw(st.integers(1, 2)), group * per_in, *_spatial(draw, attrs)))
    operands: list[Array | None] = [x, _array(draw, w_shape)]
    if draw(st.booleans()):
        operands.append(_array(draw, (group * per_out,)))
    attrs |= {"group": group, **NO_ACTIVATION}
    if transposed:
        attrs["output_padding"] = [0] * len(kernel)
    return "ConvTranspose" if transposed else "Conv", operands, attrs


@st.composite
def pool(draw: st.DrawFn, op: str) -> Case:
    attrs = _window(draw, draw(st.integers(1, 2)))
    attrs["ceil_mode"] = draw(st.integers(0, 1))
    if op == "AveragePool":
        attrs["count_include_pad"] = draw(st.integers(0, 1))
    kernel, pads, dilations = attrs["kernel_shape"], attrs["pads"], attrs["dilations"]
    assert isinstance(kernel, list)
    assert isinstance(pads, list)
    assert isinstance(dilations, list)
    # ONNX Runtime refuses padding of a whole window, measured without its dilation.
    for i, k in enumerate(kernel):
        assume(max(pads[i], pads[i + len(kernel)]) < k)
    return op, [_array(draw, (1, draw(st.integers(1, 5)), *_spatial(draw, attrs)))], attrs


@st.composite
def gemm(draw: st.DrawFn) -> Case:
    n, m, k = draw(st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(1, 70)))
    operands: list[Array | None] = [_array(draw, (n, k)), _array(draw, (m, k)), _array(draw, (m,))]
    return "Gemm", operands[: draw(st.integers(2, 3))], {**NO_ACTIVATION}


@st.composite
def matmul(draw: st.DrawFn) -> Case:
    lead = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    n, m, k = draw(st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40)))
    return "MatMul", [_array(draw, (*lead[0], n, k)), _array(draw, (*lead[1], k, m))], {}


@st.composite
def recurrent(draw: st.DrawFn, op: str) -> Case:
    steps, batch, width, hidden = (draw(st.integers(1, most)) for most in (5, 3, 40, 40))
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    ways, gates = 2 if direction == "bidirectional" else 1, 4 if op == "LSTM" else 3
    shapes = [
        (steps, batch, width), (ways, gates * hidden, width), (ways, gates * hidden, hidden),
        (ways, 2 * gates * hidden), (ways, batch, hidden), (ways, batch, hidden),
    ]  # fmt: skip
    count = draw(st.sampled_from([3, 4, 6 if op == "LSTM" else 5]))
    attrs: dict[str, AttrValue] = {"hidden_size": hidden, "direction": direction}
    if op == "GRU":
        attrs["linear_before_reset"] = draw(st.integers(0, 1))
    return op, [np.float32(0.3) * _array(draw, s) for s in shapes[:count]], attrs


@st.composite
def binary(draw: st.DrawFn) -> Case:
    shapes = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=5)).input_shapes
    op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "Equal"]))
    dtype = draw(st.sampled_from([np.float32, np.int32, np.int64]))
    return op, [_array(draw, s, dtype) for s in shapes], {}


def _shape(draw: st.DrawFn, most: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=most)))


@st.composite
def reduction(draw: st.DrawFn) -> Case:
    shape = _shape(draw)
    axes = sorted(draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    names = [name for name in ops.BY_NAME if name.startswith("Reduce") and name != "ReduceLogSum"]
    attrs: dict[str, AttrValue] = {"axes": axes, "keepdims": draw(st.integers(0, 1))}
    return draw(st.sampled_from(names)), [_array(draw, shape)], attrs


@st.composite
def movement(draw: st.DrawFn) -> Case:
    shape = _shape(draw)
    rank, x = len(shape), _array(draw, shape)
    op = draw(st.sampled_from(["Transpose", "Slice", "Pad", "Tile", "Gather", "Softmax"]))
    axis = draw(st.integers(0, rank - 1))
    if op == "Transpose":
        return op, [x], {"perm": draw(st.permutations(range(rank)))}
    if op == "Slice":
        starts = [draw(st.integers(0, d - 1)) for d in shape]
        ends = [draw(st.integers(s + 1, d)) for s, d in zip(starts, shape, strict=True)]
        steps = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
        return op, [x], {"starts": starts, "ends": ends, "steps": steps}
    if op == "Pad":
        pads = draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank))
        mode = draw(st.sampled_from(["constant", "edge"]))
        return op, [x], {"pads": pads, "mode": mode, "value": 1.5}
    if op == "Tile":
        return op, [x], {"repeats": draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))}
    if op == "Gather":
        size = shape[axis]
        indices = draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=5))
        return op, [x, np.array(indices, np.int64)], {"axis": axis}
    return op, [x], {"axis": axis}


_STRATEGIES = {
    "Conv": conv(False), "ConvTranspose": conv(True), "MaxPool": pool("MaxPool"),
    "AveragePool": pool("AveragePool"), "Gemm": gemm(), "MatMul": matmul(),
    "LSTM": recurrent("LSTM"), "GRU": recurrent("GRU"), "binary": binary(),
    "reduction": reduction(), "movement": movement(),
}  # fmt: skip


@pytest.mark.parametrize("kind", _STRATEGIES)
def test_reference_runtime_and_kernel_agree(kind: str) -> None:
    compared: set[str] = set()

    @settings(deadline=None, max_examples=25, derandomize=True)
    @given(_STRATEGIES[kind])
    def check(case: Case) -> None:
        name, inputs, attrs = case
        op = ops.BY_NAME[name]
        expected = op.run(inputs, attrs)
        theirs = runtime.run_exported(op, (inputs, attrs), expected)
        ours = kernels.run_kernel(op, list(inputs), attrs, "dense")
        compared.update(who for who, got in (("runtime", theirs), ("kernel", ours)) if got)
        for results, factor in ((theirs, 2), (ours, 1)):
            for result, reference in zip(results or (), expected, strict=results is not None):
                np.testing.assert_allclose(
                    result, reference, rtol=factor * op.rtol, atol=factor * op.atol
                )

    check()
    assert compared == {"runtime", "kernel"}
