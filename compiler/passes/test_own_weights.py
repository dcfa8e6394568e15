"""A weight with readers of several kinds has a layout per kind."""

from __future__ import annotations

import numpy as np

from coexec.compiler.execute import runner_of
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.passes import own_weights, sparsify
from coexec.compiler.passes.test_support import Build, check_pass, random_inputs


def test_a_tied_embedding_is_sparse_where_it_is_multiplied() -> None:
    b = Build()
    table = b.weight(48, 32)
    assert table.constant is not None
    table.constant *= b.rng.random(table.constant.shape) < 0.1
    x, taken = b.input(2, 32), b.constant(np.array([3, 0, 47]))
    graph = b.graph(b.gemm(x, table), b.gemm(x, table), b.op("Gather", table, taken, axis=0))
    ops = ["Gemm", "Gemm", "Gather"]
    report = check_pass(graph, own_weights.run, ops, ops)
    assert len(report.done) == 1
    check_pass(graph, sparsify.run, ops, ops)
    first, second, rows = (
        layer.inputs[i] for layer, i in zip(graph.layers, (1, 1, 0), strict=True)
    )
    assert first is second
    assert first is not None
    assert rows is table
    assert (first.type.layout, rows.type.layout) == ("csr", "dense")
    inputs = random_inputs(graph)
    want = interpret(graph, inputs)
    got = runner_of(graph).run({x.name: inputs[0]})
    for value, array in zip(graph.outputs, want, strict=True):
        np.testing.assert_allclose(got[value.name], array, rtol=1e-4, atol=1e-5)


def test_a_weight_of_one_kind_of_layer_stays() -> None:
    b = Build()
    w, x = b.weight(4, 4), b.input(2, 4)
    graph = b.graph(b.gemm(b.gemm(x, w), w))
    assert not check_pass(graph, own_weights.run, ["Gemm", "Gemm"], ["Gemm", "Gemm"]).done
