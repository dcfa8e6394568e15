"""BatchNormalization moves into the weights before it, and only where it may."""

from __future__ import annotations

import numpy as np
import pytest

from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.window import window_attrs
from coexec.compiler.passes import fuse_batch_norm
from coexec.compiler.passes.test_support import Build, check_pass

# Weights are rounded after scaling instead of results: a few units in the last place.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.mark.parametrize("with_bias", [False, True])
def test_into_conv(with_bias: bool) -> None:
    b = Build()
    x = b.input(2, 3, 6, 6)
    y = b.conv(x, b.weight(8, 3, 3, 3), *([b.weight(8)] if with_bias else []))
    graph = b.graph(b.batch_norm(y, 8))
    check_pass(graph, fuse_batch_norm.run, ["Conv", "BatchNormalization"], ["Conv"], **CLOSE)


def test_into_grouped_conv_transpose() -> None:
    b = Build()
    x = b.input(1, 6, 4, 4)
    window = window_attrs([2, 2], strides=[2, 2])
    rest = {**NO_ACTIVATION, "output_padding": [0, 0], "group": 3}
    y = b.op("ConvTranspose", x, b.weight(6, 2, 2, 2), **window, **rest)
    graph = b.graph(b.batch_norm(y, 6))
    before = ["ConvTranspose", "BatchNormalization"]
    check_pass(graph, fuse_batch_norm.run, before, ["ConvTranspose"], **CLOSE)


def test_into_gemm() -> None:
    b = Build()
    y = b.gemm(b.input(4, 7), b.weight(5, 7), b.weight(5))
    graph = b.graph(b.batch_norm(y, 5))
    check_pass(graph, fuse_batch_norm.run, ["Gemm", "BatchNormalization"], ["Gemm"], **CLOSE)


def test_a_shared_weight_is_left_to_its_other_reader() -> None:
    b = Build()
    x, w = b.input(1, 3, 5, 5), b.weight(3, 3, 1, 1)
    shared = b.conv(x, w)
    normed = b.batch_norm(b.conv(x, w), 3)
    graph = b.graph(b.op("Add", shared, normed))
    before = ["Conv", "Conv", "BatchNormalization", "Add"]
    kept = np.array(w.constant)
    check_pass(graph, fuse_batch_norm.run, before, ["Conv", "Conv", "Add"], **CLOSE)
    np.testing.assert_array_equal(w.constant, kept)


def test_stays_when_the_sum_is_read_elsewhere() -> None:
    b = Build()
    y = b.conv(b.input(1, 3, 5, 5), b.weight(4, 3, 1, 1))
    graph = b.graph(b.batch_norm(y, 4), y)
    before = ["Conv", "BatchNormalization"]
    report = check_pass(graph, fuse_batch_norm.run, before, before)
    assert "result is read elsewhere" in report.refused[0]


def test_stays_where_channels_lie_in_another_dim() -> None:
    b = Build()
    y = b.gemm(b.input(2, 5, 7), b.weight(5, 7))
    graph = b.graph(b.batch_norm(y, 5))
    before = ["Gemm", "BatchNormalization"]
    report = check_pass(graph, fuse_batch_norm.run, before, before)
    assert "another dim" in report.refused[0]
