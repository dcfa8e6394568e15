"""A convolution by basis kernels is the convolution, up to what the basis leaves out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Graph
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.verify import verify
from coexec.compiler.ir.window import window_attrs
from coexec.compiler.passes.test_support import Build, random_inputs
from coexec.compiler.prune.basis import decompose, principal_components


def _net(kernel: tuple[int, int], stride: int = 1) -> Graph:
    b = Build()
    x = b.conv(b.input(1, 3, 9, 8), b.weight(6, 3, 3, 3))
    attrs = {**window_attrs(kernel, [stride] * 2, [1] * 4), **NO_ACTIVATION, "group": 1}
    attrs["activation"] = "Relu"
    y = b.op("Conv", x, b.weight(5, 6, *kernel), b.weight(5), None, **attrs)
    return b.graph(y)


@settings(deadline=None, max_examples=20)
@given(
    kernel=st.sampled_from([(3, 3), (2, 3), (5, 1)]),
    stride=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_a_full_basis_changes_nothing(kernel: tuple[int, int], stride: int, seed: int) -> None:
    graph = _net(kernel, stride)
    inputs = random_inputs(graph, seed)
    before = interpret(graph, inputs)
    taps = kernel[0] * kernel[1]
    for layer in graph.layers[1:2]:
        weight = layer.inputs[1]
        assert weight is not None
        assert weight.constant is not None
        # One dimension fewer than taps, so that a basis of that many is exact.
        weight.constant[..., -1, -1] = weight.constant[..., 0, 0]
    before = interpret(graph, inputs)
    done = decompose(graph, taps - 1)
    verify(graph, "imported")
    assert [(one.bases, one.taps) for one in done] == [(taps - 1, taps)]
    assert done[0].kept_energy == pytest.approx(1)
    for a, b in zip(before, interpret(graph, inputs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_fewer_bases_keep_the_strongest_directions() -> None:
    rng = np.random.default_rng(0)
    kernels = rng.standard_normal((200, 9)).astype(np.float32) * np.arange(9, 0, -1)
    kept = [principal_components(kernels, bases)[2] for bases in range(1, 10)]
    assert kept == sorted(kept)
    assert kept[-1] == pytest.approx(1)
    basis, coefficients, share = principal_components(kernels, 4)
    error = np.sum((kernels - coefficients @ basis) ** 2) / np.sum(kernels**2)
    assert share == pytest.approx(1 - error, abs=1e-6)
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-6)


def test_what_cannot_be_decomposed_is_named() -> None:
    with pytest.raises(CompileError, match="no convolution after the first has more than 9 taps"):
        decompose(_net((3, 3)), 9)
    with pytest.raises(CompileError, match="at least 1"):
        decompose(_net((3, 3)), 0)
