"""Bias, residual, activation and padding move into the Conv or Gemm beside them."""

from __future__ import annotations

import numpy as np
import pytest

from coexec.compiler.passes import fuse_activation, fuse_bias, fuse_pad, fuse_residual
from coexec.compiler.passes.test_support import Build, check_pass

# One rounding less than before.
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 8, 1, 1), (1,), ()])
@pytest.mark.parametrize("op", ["Add", "Sub"])
def test_bias_into_conv(shape: tuple[int, ...], op: str) -> None:
    b = Build()
    y = b.conv(b.input(1, 3, 5, 5), b.weight(8, 3, 3, 3))
    graph = b.graph(b.op(op, y, b.weight(*shape)))
    check_pass(graph, fuse_bias.run, ["Conv", op], ["Conv"], **CLOSE)


def test_bias_into_gemm_that_has_one() -> None:
    b = Build()
    y = b.gemm(b.input(2, 3, 7), b.weight(5, 7), b.weight(5))
    graph = b.graph(b.op("Add", b.weight(5), y))
    check_pass(graph, fuse_bias.run, ["Gemm", "Add"], ["Gemm"], **CLOSE)


@pytest.mark.parametrize(
    ("op", "shape", "reason"),
    [
        ("Add", (1, 8, 5, 5), "not one number per channel"),
        ("Add", (2, 8, 1, 1), "broadcasts"),
        ("Add", (5,), "not one number per channel"),
    ],
)
def test_bias_stays_where_it_is_none(op: str, shape: tuple[int, ...], reason: str) -> None:
    b = Build()
    y = b.conv(b.input(1, 3, 5, 5), b.weight(8, 3, 1, 1))
    graph = b.graph(b.op(op, y, b.weight(*shape)))
    report = check_pass(graph, fuse_bias.run, ["Conv", op], ["Conv", op])
    assert reason in report.refused[0]


def test_residual_into_the_later_conv() -> None:
    b = Build()
    x = b.input(1, 4, 5, 5)
    main = b.conv(x, b.weight(8, 4, 3, 3), b.weight(8), pad=1)
    shortcut = b.conv(x, b.weight(8, 4, 1, 1))
    graph = b.graph(b.op("Relu", b.op("Add", main, shortcut)))
    before = ["Conv", "Conv", "Add", "Relu"]
    check_pass(graph, fuse_residual.run, before, ["Conv", "Conv", "Relu"], **CLOSE)
    assert graph.layers[1].inputs[3] is main


def test_residual_that_is_computed_after_the_conv() -> None:
    b = Build()
    x = b.input(1, 4, 5, 5)
    main = b.conv(x, b.weight(4, 4, 1, 1))
    late = b.op("Tanh", x)
    graph = b.graph(b.op("Add", main, late))
    check_pass(graph, fuse_residual.run, ["Conv", "Tanh", "Add"], ["Tanh", "Conv"], **CLOSE)


def test_residual_chain_into_gemm() -> None:
    b = Build()
    x = b.input(3, 6)
    y = b.op("Add", x, b.gemm(x, b.weight(6, 6)))
    z = b.op("Add", b.gemm(y, b.weight(6, 6), b.weight(6)), y)
    graph = b.graph(z)
    before = ["Gemm", "Add", "Gemm", "Add"]
    check_pass(graph, fuse_residual.run, before, ["Gemm", "Gemm"], **CLOSE)


def test_residual_stays_where_it_may_not_move() -> None:
    b = Build()
    x = b.input(1, 4, 5, 5)
    seen = b.conv(x, b.weight(4, 4, 1, 1))
    narrow = b.conv(x, b.weight(4, 4, 5, 5))
    doubled = b.conv(x, b.weight(4, 4, 1, 1))
    outs = [b.op("Add", seen, x), seen, b.op("Add", narrow, x), b.op("Add", doubled, doubled)]
    graph = b.graph(*outs)
    before = ["Conv", "Conv", "Conv", "Add", "Add", "Add"]
    report = check_pass(graph, fuse_residual.run, before, before)
    assert "read elsewhere" in report.refused[0]
    assert "is f32[1, 4, 5, 5]" in report.refused[1]
    assert "read elsewhere" in report.refused[2]


@pytest.mark.parametrize(
    ("function", "attrs"),
    [
        ("Relu", {}), ("Clip", {"min": 0.0, "max": 6.0}), ("LeakyRelu", {"alpha": 0.1}),
        ("HardSwish", {}), ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}), ("Sigmoid", {}),
        ("Silu", {}), ("Tanh", {}), ("Elu", {"alpha": 1.0}),
    ],
)  # fmt: skip
def test_activation_into_gemm(function: str, attrs: dict[str, float]) -> None:
    b = Build()
    y = b.gemm(b.input(3, 6), b.weight(5, 6))
    graph = b.graph(b.op(function, y, **attrs))
    expected = [*[float(v) for v in attrs.values()], 0.0, 0.0][:2]
    check_pass(graph, fuse_activation.run, ["Gemm", function], [f"Gemm.{function}"], **CLOSE)
    layer = graph.layers[0]
    assert [layer.attrs["activation_alpha"], layer.attrs["activation_beta"]] == expected


def test_only_the_first_activation_fuses() -> None:
    b = Build()
    y = b.op("Relu", b.conv(b.input(1, 3, 5, 5), b.weight(8, 3, 3, 3)))
    graph = b.graph(b.op("Sigmoid", y))
    before, after = ["Conv", "Relu", "Sigmoid"], ["Conv.Relu", "Sigmoid"]
    report = check_pass(graph, fuse_activation.run, before, after, **CLOSE)
    assert "already applies Relu" in report.refused[0]


def test_zero_padding_into_conv() -> None:
    b = Build()
    padded = b.op(
        "Pad", b.input(1, 3, 5, 5), pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.0
    )
    graph = b.graph(b.conv(padded, b.weight(4, 3, 3, 3), pad=1))
    check_pass(graph, fuse_pad.run, ["Pad", "Conv"], ["Conv"])
    assert graph.layers[0].attrs["pads"] == [2, 3, 1, 2]


@pytest.mark.parametrize(
    ("pads", "mode", "value", "reason"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], "reflect", 0.0, "does not pad with zeros"),
        ([0, 0, 1, 1, 0, 0, 1, 1], "constant", 1.0, "does not pad with zeros"),
        ([0, 0, -1, 1, 0, 0, 1, 1], "constant", 0.0, "crops"),
        ([0, 1, 0, 0, 0, 0, 0, 0], "constant", 0.0, "more than spatial dims"),
    ],
)
def test_other_padding_stays(pads: list[int], mode: str, value: float, reason: str) -> None:
    b = Build()
    padded = b.op("Pad", b.input(1, 3, 5, 5), pads=pads, mode=mode, value=value)
    graph = b.graph(b.conv(padded, b.weight(4, padded.type.shape[1], 3, 3)))
    report = check_pass(graph, fuse_pad.run, ["Pad", "Conv"], ["Pad", "Conv"])
    assert reason in report.refused[0]


def test_nothing_is_written_into_a_constant_in_place() -> None:
    b = Build()
    bias = b.weight(8)
    y = b.conv(b.input(1, 3, 5, 5), b.weight(8, 3, 3, 3), bias)
    graph = b.graph(b.op("Add", y, b.weight(8, 1, 1)))
    kept = np.array(bias.constant)
    check_pass(graph, fuse_bias.run, ["Conv", "Add"], ["Conv"], **CLOSE)
    np.testing.assert_array_equal(bias.constant, kept)
