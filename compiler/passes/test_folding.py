"""What computes nothing, or nothing new, goes: identities, chains of shapes, constants, the
dead."""

from __future__ import annotations

import numpy as np

from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.verify import verify
from coexec.compiler.passes import (
    drop_dead,
    drop_identity,
    fold_constants,
    fold_reshape,
    fold_transpose,
)
from coexec.compiler.passes.test_support import Build, check_pass, ops_of, random_inputs


def test_identities_go() -> None:
    b = Build()
    y = b.op("Relu", b.input(2, 3))
    y = b.op("Reshape", y, shape=[2, 3])
    y = b.op("Cast", y, to="f32")
    y = b.op("Transpose", y, perm=[0, 1])
    y = b.op("Slice", y, starts=[0, 0], ends=[2, 3], steps=[1, 1])
    y = b.op("Pad", y, pads=[0, 0, 0, 0], mode="constant", value=0.0)
    y = b.op("Tile", b.op("Expand", y, shape=[2, 3]), repeats=[1, 1])
    graph = b.graph(b.op("Concat", b.op("Tanh", y), axis=0))
    check_pass(graph, drop_identity.run, ops_of(graph), ["Relu", "Tanh"])


def test_what_only_looks_like_an_identity_stays() -> None:
    b = Build()
    x = b.input(3, 3)
    outs = [
        b.op("Transpose", x, perm=[1, 0]),
        b.op("Slice", x, starts=[2, 0], ends=[-1, 3], steps=[-1, 1]),
        b.op("Pad", x, pads=[1, 0, -1, 0], mode="constant", value=0.0),
        b.op("Concat", x, axis=0),
    ]
    graph = b.graph(*outs)
    kept = ops_of(graph)
    report = check_pass(graph, drop_identity.run, kept, kept)
    assert "no layer makes it" in report.refused[0]


def test_a_value_that_is_an_output_twice_keeps_both_names() -> None:
    b = Build()
    y = b.op("Relu", b.input(2, 3))
    graph = b.graph(y, b.op("Reshape", y, shape=[2, 3]))
    check_pass(graph, drop_identity.run, ["Relu", "Reshape"], ["Relu", "Reshape"])


def test_an_output_behind_an_identity_keeps_its_name() -> None:
    b = Build()
    y = b.op("Relu", b.input(2, 3))
    other = b.op("Tanh", y)
    graph = b.graph(b.op("Reshape", y, shape=[2, 3]), other)
    check_pass(graph, drop_identity.run, ["Relu", "Tanh", "Reshape"], ["Relu", "Tanh"])


def test_reshapes_collapse() -> None:
    b = Build()
    y = b.op("Reshape", b.input(2, 6), shape=[3, 4])
    graph = b.graph(b.op("Reshape", b.op("Reshape", y, shape=[12]), shape=[4, 3]))
    check_pass(graph, fold_reshape.run, ["Reshape"] * 3, ["Reshape"])


def test_transposes_cancel_or_merge() -> None:
    b = Build()
    x = b.op("Relu", b.input(2, 3, 4))
    turned = b.op("Transpose", x, perm=[0, 2, 1])
    back = b.op("Transpose", turned, perm=[0, 2, 1])
    merged = b.op("Transpose", turned, perm=[2, 1, 0])
    graph = b.graph(b.op("Tanh", back), merged)
    before = ["Relu", "Transpose", "Transpose", "Transpose", "Tanh"]
    check_pass(graph, fold_transpose.run, before, ["Relu", "Transpose", "Transpose", "Tanh"])
    inputs = random_inputs(graph)
    expected = interpret(graph, inputs)
    drop_identity.run(graph)
    verify(graph, "rewritten")
    assert ops_of(graph) == ["Relu", "Transpose", "Tanh"]
    for ours, theirs in zip(interpret(graph, inputs), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_transpose_of_single_dims_is_a_reshape() -> None:
    b = Build()
    x = b.input(1, 3, 1, 4)
    graph = b.graph(
        b.op("Transpose", x, perm=[0, 1, 3, 2]), b.op("Transpose", x, perm=[0, 3, 1, 2])
    )
    before = ["Transpose", "Transpose"]
    report = check_pass(graph, fold_transpose.run, before, ["Reshape", "Transpose"])
    assert "moves elements" in report.refused[0]


def test_constants_are_computed_unless_they_grow() -> None:
    b = Build()
    scale = b.op("Sqrt", b.op("Add", b.positive(3), b.number(1.0)))
    large = b.op("Expand", b.weight(1), shape=[512, 1024])
    small = b.op("Mul", b.input(2, 3), scale)
    graph = b.graph(small, b.op("Add", b.input(1), large))
    before = ["Add", "Sqrt", "Expand", "Mul", "Add"]
    report = check_pass(graph, fold_constants.run, before, ["Expand", "Mul", "Add"])
    assert "would add 2097148 bytes" in report.refused[0]


def test_the_dead_go() -> None:
    b = Build()
    x = b.input(4, 6)
    b.op("Tanh", b.op("Relu", x))
    values, indices = b.ops("TopK", x, k=2, axis=1, largest=1, sorted=1)
    graph = b.graph(values)
    check_pass(graph, drop_dead.run, ["Relu", "Tanh", "TopK"], ["TopK"])
    assert graph.layers[0].outputs == [values, None]
    assert indices not in graph.layers[0].outputs
