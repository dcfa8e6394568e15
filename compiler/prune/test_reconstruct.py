"""Reconstruction over a graph: every kind of weight it fits, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Graph
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.verify import verify
from coexec.compiler.passes.test_support import Build
from coexec.compiler.prune import PruneReport, parse_rule, prune


def _smooth(graph: Graph, count: int, seed: int = 7) -> list[list[Array]]:
    """Inputs whose neighbours are alike, as in pictures and sound."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(count):
        noise = rng.normal(0, 1, graph.inputs[0].type.shape)
        for axis in range(1, noise.ndim):
            noise = noise + np.roll(noise, 1, axis) + np.roll(noise, 2, axis)
        examples.append([noise.astype(np.float32)])
    return examples


def _convs() -> Graph:
    b = Build()
    x = b.input(1, 6, 8, 8)
    y = b.conv(x, b.weight(8, 6, 3, 3), b.weight(8), pad=1)
    z = b.op("Relu", y)
    z = b.conv(z, b.weight(8, 8, 3, 3), b.weight(8), y, pad=1)
    z = b.op("Reshape", z, shape=[8, 64])
    return b.graph(b.gemm(z, b.weight(5, 64), b.weight(5)))


def _recurrent(op: str, direction: str, **attrs: int) -> Graph:
    b = Build()
    ways, gates = 1 + (direction == "bidirectional"), 3 if op == "GRU" else 4
    b.rng = np.random.default_rng(1)
    x = b.input(12, 2, 16)
    weights = [b.weight(ways, gates * 16, 16) for _ in "wr"]
    for weight in weights:
        assert weight.constant is not None
        weight.constant *= np.float32(0.3)
    bias = b.weight(ways, 2 * gates * 16)
    y = b.ops(op, x, *weights, bias, hidden_size=16, direction=direction, **attrs)
    return b.graph(y[0])


def _outcome(make: Graph, rule: str, reconstruct: bool) -> PruneReport:
    return prune(make, [parse_rule(rule)], _smooth(make, 12), interpret, reconstruct)


@pytest.mark.parametrize("rule", ["*:unstructured=0.6", "*:bcr=0.6@16x64"])
@pytest.mark.parametrize(
    "make",
    [
        _convs,
        lambda: _recurrent("GRU", "reverse", linear_before_reset=1),
        lambda: _recurrent("LSTM", "bidirectional"),
    ],
    ids=["conv and gemm", "gru", "lstm"],
)
def test_outputs_move_less_than_by_magnitude(make, rule) -> None:  # type: ignore[no-untyped-def]
    graph = make()
    fitted = _outcome(graph, rule, True)
    magnitude = _outcome(make(), rule, False)
    verify(graph, "imported")
    assert fitted.density == pytest.approx(magnitude.density, abs=0.02)
    assert fitted.output_error is not None
    assert magnitude.output_error is not None
    assert fitted.output_error < 0.75 * magnitude.output_error
    assert all(w.error is not None and w.error < 1.0 for w in fitted.weights)
    assert all(w.error is None for w in magnitude.weights)
    assert "reconstructed to error" in fitted.lines()[0]


def test_on_other_inputs_too() -> None:
    fitted, magnitude, dense = _convs(), _convs(), _convs()
    _outcome(fitted, "*:bcr=0.5@8x64", True)
    _outcome(magnitude, "*:bcr=0.5@8x64", False)
    new = _smooth(dense, 4, seed=8)
    errors = [
        sum(float(np.sum((interpret(g, x)[0] - interpret(dense, x)[0]) ** 2)) for x in new)
        for g in (fitted, magnitude)
    ]
    assert errors[0] < 0.5 * errors[1]


def test_the_error_reported_is_the_layers() -> None:
    b = Build()
    graph = b.graph(b.conv(b.input(1, 4, 9, 9), b.weight(8, 4, 3, 3), b.weight(8)))
    examples = _smooth(graph, 3)
    before = [interpret(graph, x)[0] for x in examples]
    report = prune(graph, [parse_rule("*:unstructured=0.7")], examples)
    after = [interpret(graph, x)[0] for x in examples]
    moved = sum(float(np.sum((x - y) ** 2)) for x, y in zip(before, after, strict=True))
    centred = np.stack(before) - np.mean(before, axis=(0, 1, 3, 4), keepdims=True)[0]
    assert report.weights[0].error == pytest.approx(moved / np.sum(centred**2), rel=1e-3)


def test_where_least_squares_does_not_fit_magnitude_chooses() -> None:
    graph = _recurrent("GRU", "forward", linear_before_reset=0)
    report = _outcome(graph, "*:bcr=0.5@8x64", True)
    assert [w.note for w in report.weights] == [
        "",
        "by magnitude: its inputs are reset inside the layer",
    ]
    b = Build()
    w = b.weight(16, 16)
    shared = b.graph(b.gemm(b.gemm(b.input(2, 16), w), w))
    report = _outcome(shared, "*:unstructured=0.5", True)
    assert [w.note for w in report.weights] == ["by magnitude: several layers share it"]
    assert report.weights[0].density == 0.5


def test_inputs_that_are_no_numbers_are_refused() -> None:
    graph = _convs()
    examples = _smooth(graph, 2)
    examples[1][0][0, 0, 3, 3] = np.nan
    with pytest.raises(CompileError, match="calibration inputs lead to infinities or NaNs here"):
        prune(graph, [parse_rule("*:unstructured=0.5")], examples, reconstruct=True)
