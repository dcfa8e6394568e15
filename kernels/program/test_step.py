"""What a step must refuse when a program is not what a compiler would write: memory is laid out by
the types it declares."""

from typing import Any

import numpy as np
import pytest

from coexec.kernels import _kernels

_NO_ACTIVATION = {"activation": "", "activation_alpha": 0.0, "activation_beta": 0.0}
_WINDOW = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1]}
_CONV = {**_WINDOW, "group": 1, **_NO_ACTIVATION}
_POOL = {**_WINDOW, "kernel_shape": [1, 2], "strides": [1, 2], "ceil_mode": 0}
_LSTM = {"hidden_size": 2, "direction": "forward"}


def _step(
    op: str,
    attrs: dict[str, Any],
    computed: tuple[int, ...],
    weights: list[tuple[int, ...]],
    result: tuple[int, ...],
    layouts: dict[int, str] | None = None,
) -> _kernels.Step:
    """One layer with a computed first operand; layouts: of weights that are not dense."""
    inputs = [_kernels.TensorType("f32", list(computed))]
    constants: list[_kernels.Constant | None] = [None]
    for i, shape in enumerate(weights):
        inputs.append(_kernels.TensorType("f32", list(shape), (layouts or {}).get(i, "dense")))
        zeros = np.zeros(int(np.prod(shape)) * 4, np.uint8)
        constants.append(_kernels.Constant.copied(inputs[-1], zeros))
    return _kernels.Step(op, attrs, inputs, [_kernels.TensorType("f32", list(result))], constants)


@pytest.mark.parametrize(
    ("op", "attrs", "computed", "weights", "fits", "too_small"),
    [
        ("Gemm", _NO_ACTIVATION, (5, 3), [(4, 3)], (5, 4), (1, 4)),
        ("MatMul", {}, (2, 5, 3), [(3, 4)], (2, 5, 4), (5, 4)),
        ("Conv", _CONV, (2, 3, 4, 4), [(6, 3, 1, 1)], (2, 6, 4, 4), (1, 6, 4, 4)),
        ("LSTM", _LSTM, (3, 1, 4), [(1, 8, 4), (1, 8, 2)], (3, 1, 1, 2), (1, 1, 1, 2)),
    ],
)
def test_a_result_that_would_not_fit_is_refused(
    op: str,
    attrs: dict[str, Any],
    computed: tuple[int, ...],
    weights: list[tuple[int, ...]],
    fits: tuple[int, ...],
    too_small: tuple[int, ...],
) -> None:
    _step(op, attrs, computed, weights, fits)
    with pytest.raises(ValueError, match=r"output|expected|fill"):
        _step(op, attrs, computed, weights, too_small)


def test_a_bias_that_is_stored_sparsely_is_refused() -> None:
    with pytest.raises(_kernels.UnsupportedLayerError, match=r"dense operands, not f32\[4\] csr"):
        _step("Gemm", _NO_ACTIVATION, (5, 3), [(4, 3), (4,)], (5, 4), {1: "csr"})


@pytest.mark.parametrize("shape", [(-1, 4), (1 << 21, 1 << 20), (1 << 62, 1 << 62, 0)])
def test_sizes_past_any_memory_are_refused(shape: tuple[int, ...]) -> None:
    type = _kernels.TensorType("f32", list(shape))
    with pytest.raises(ValueError, match="negative or too large"):
        _kernels.Step("Relu", {}, [type], [type], [None])


def test_dilations_past_any_image_are_refused() -> None:
    far = {**_CONV, "kernel_shape": [2, 1], "dilations": [1 << 62, 1], "pads": [1 << 62, 0, 0, 0]}
    with pytest.raises(_kernels.UnsupportedLayerError, match="is beyond"):
        _step("Conv", far, (1, 1, 4, 4), [(1, 1, 2, 1)], (1, 1, 4, 4))


def test_more_operands_than_a_segment_holds_are_refused() -> None:
    part, whole = _kernels.TensorType("f32", [1]), _kernels.TensorType("f32", [600])
    with pytest.raises(_kernels.UnsupportedLayerError, match="600 operands, at most 512"):
        _kernels.Step("Concat", {"axis": 0}, [part] * 600, [whole], [None] * 600)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    ("attrs", "shape", "result", "says"),
    [
        ({"pads": [0, 0, 0, 2]}, (1, 1, 4, 0), (1, 1, 4, 1), "beyond a window of 2"),
        ({"pads": [0, 0, 0, 100]}, (1, 1, 4, 8), (1, 1, 4, 54), "beyond a window of 2"),
        ({"pads": [0, 2, 0, 0]}, (1, 1, 4, 8), (1, 1, 4, 5), "beyond a window of 2"),
        ({"pads": [1, 0, 0, 0]}, (1, 1, 4, 8), (1, 1, 5, 4), "beyond a window of 1"),
        ({"dilations": [1, 1 << 62]}, (1, 1, 4, 8), (1, 1, 4, 4), "dilations"),
    ],
)
def test_a_window_inside_the_padding_is_refused(
    op: str, attrs: dict[str, Any], shape: tuple[int, ...], result: tuple[int, ...], says: str
) -> None:
    damaged = {**_POOL, "count_include_pad": 0, **attrs}
    with pytest.raises(ValueError, match=says):
        _step(op, damaged, shape, [], result)
