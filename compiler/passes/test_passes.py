"""The list as a whole: passes in this order leave nothing for a later one to trip over."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir import Value
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.passes import PASSES, run_passes
from coexec.compiler.passes.test_support import Build, ops_of, random_inputs


def _block(b: Build, x: Value) -> Value:
    """Convolution, normalisation, spelled Silu, squeeze and excite, shortcut."""
    channels = x.type.shape[1]
    y = b.batch_norm(b.conv(x, b.weight(channels, channels, 3, 3), pad=1), channels)
    y = b.op("Mul", y, b.op("Sigmoid", y))
    pooled = b.op("ReduceMean", y, axes=[2, 3], keepdims=1)
    gate = b.op("Add", b.conv(pooled, b.weight(channels, channels, 1, 1)), b.number(3.0))
    gate = b.op("Div", b.op("Clip", gate, min=0.0, max=6.0), b.number(6.0))
    y = b.conv(b.op("Mul", y, gate), b.weight(channels, channels, 1, 1))
    return b.op("Relu", b.op("Add", b.op("Add", y, b.weight(channels, 1, 1)), x))


def test_a_block_becomes_convolutions() -> None:
    b = Build()
    x = b.input(2, 8, 6, 6)
    y = b.op("Transpose", b.op("Transpose", _block(b, x), perm=[0, 2, 3, 1]), perm=[0, 3, 1, 2])
    graph = b.graph(b.op("Reshape", b.op("Cast", y, to="f32"), shape=[2, 288]))
    inputs = random_inputs(graph)
    expected = interpret(graph, inputs)
    reports = run_passes(graph, verified=True)
    assert ops_of(graph) == [
        "Conv.Silu", "ReduceMean", "Conv.HardSigmoid", "Mul", "Conv.Relu", "Reshape",
    ]  # fmt: skip
    assert len(reports) == len(PASSES)
    for ours, theirs in zip(interpret(graph, inputs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_second_run_changes_nothing_more() -> None:
    b = Build()
    graph = b.graph(_block(b, b.input(1, 8, 5, 5)))
    run_passes(graph, verified=True)
    ops, digests = ops_of(graph), [v.digest for v in graph.outputs]
    run_passes(graph, verified=True)
    assert (ops_of(graph), [v.digest for v in graph.outputs]) == (ops, digests)
