"""Columns and results are what the layer's matrix maps to each other, for any window."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir import Layer
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.interpret import run_layer
from coexec.compiler.ir.window import window_attrs
from coexec.compiler.passes.test_support import Build
from coexec.compiler.passes.weights import as_matrix
from coexec.compiler.prune.moments import Moments, columns_of, positions, results_of


@st.composite
def convolutions(draw: st.DrawFn) -> Layer:
    b = Build(draw(st.integers(0, 2**32 - 1)))
    rank = draw(st.integers(1, 3))
    dims = [draw(st.integers(1, 3)) for _ in range(4)]  # of the kernel, then channels
    x = b.input(draw(st.integers(1, 2)), dims[3], *(draw(st.integers(5, 7)) for _ in range(rank)))
    window = window_attrs(
        dims[:rank],
        strides=[draw(st.integers(1, 2)) for _ in range(rank)],
        pads=[draw(st.integers(0, 2)) for _ in range(2 * rank)],
        dilations=[draw(st.integers(1, 2)) for _ in range(rank)],
    )
    b.op("Conv", x, b.weight(4, dims[3], *dims[:rank]), **window, group=1, **NO_ACTIVATION)
    return b.layers[0]


@settings(deadline=None, max_examples=40)
@given(convolutions(), st.integers(0, 2**32 - 1))
def test_columns_times_weights_are_results(layer: Layer, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = layer.inputs[0], layer.inputs[1]
    assert x is not None
    assert w is not None
    assert w.constant is not None
    array = rng.normal(0, 1, x.type.shape).astype(np.float32)
    (y,) = run_layer(layer, [array, w.constant])
    there = positions(layer, array)
    chosen = np.sort(rng.choice(there, rng.integers(1, there + 1), replace=False))
    results = as_matrix("Conv", w.constant) @ columns_of(layer, array, chosen)
    np.testing.assert_allclose(results, results_of(layer, y, chosen), rtol=1e-4, atol=1e-4)


def test_a_free_bias_takes_the_means() -> None:
    rng = np.random.default_rng(0)
    w, bias = rng.normal(0, 1, (3, 5)), rng.normal(0, 5, 3)
    moments = Moments(3, 5)
    for count in (10, 3000, 7):
        x = rng.normal(2, 1, (5, count)).astype(np.float32)
        moments.add(x, (w @ x + bias[:, None]).astype(np.float32))
    problem = moments.problem(w, with_bias=True)
    assert problem.error(w) < 1e-5
    np.testing.assert_allclose(moments.bias(w), bias, atol=1e-3)
    assert moments.problem(w, with_bias=False).error(w) > 0.1


def test_inputs_that_hardly_vary_leave_a_problem_that_can_be_solved() -> None:
    rng = np.random.default_rng(3)
    w = rng.normal(0, 1, (3, 49)).astype(np.float32)
    x = np.repeat(rng.normal(0, 1, (49, 1)), 700, axis=1).astype(np.float32)
    moments = Moments(3, 49)
    moments.add(x, w @ x)
    found = moments.problem(w, with_bias=True).solve(w != 0, w)
    assert (found.saliency >= 0).all()
    assert np.abs(found.w - w).max() < np.abs(w).max()
