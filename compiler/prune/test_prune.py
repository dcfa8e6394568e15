"""Rules meet layers, and the report says what came of it."""

from __future__ import annotations

import numpy as np
import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Graph
from coexec.compiler.ir.verify import verify
from coexec.compiler.passes import FINISH, LAYOUTS, run_passes
from coexec.compiler.passes.test_support import Build, random_inputs
from coexec.compiler.prune import parse_rule, prune


def _net() -> Graph:
    """Two full convolutions, a depthwise and a tiny one, then a small classifier."""
    b = Build()
    x = b.input(1, 32, 6, 6)
    y = b.conv(x, b.weight(48, 32, 3, 3), b.weight(48))
    y = b.conv(y, b.weight(48, 1, 3, 3), group=48, pad=1)
    y = b.conv(y, b.weight(40, 48, 3, 3), pad=1)
    y = b.conv(y, b.weight(4, 40, 1, 1))
    y = b.op("Reshape", y, shape=[1, 64])
    graph = b.graph(b.gemm(y, b.weight(80, 64)))
    for layer, name in zip(
        graph.layers, ["first", "deep", "body", "tiny", "r", "head"], strict=True
    ):
        layer.name = name
    return graph


def test_the_rule_for_all_spares_what_it_should() -> None:
    graph = _net()
    report = prune(graph, [parse_rule("bcr=0.9")])
    why = {w.layer: w.note for w in report.weights}
    assert why == {
        "first": "the first Conv",
        "body": "",
        "tiny": "fewer than 8192 operations",
        "head": "the last Gemm, and small",
    }
    density = {w.layer: w.density for w in report.weights}
    assert density["body"] == pytest.approx(0.1, abs=0.005)
    assert density["first"] == density["tiny"] == density["head"] == 1.0
    body = graph.layers[2].inputs[1]
    assert body is not None
    assert body.constant is not None
    assert np.mean(body.constant != 0) == density["body"]


def test_named_layers_are_pruned_whatever_they_are_and_the_last_rule_wins() -> None:
    rules = ["bcr=0.9", "*:unstructured=0.5", "head:bcr=0.75", "body:dense"]
    report = prune(_net(), [parse_rule(r) for r in rules])
    density = {w.layer: round(w.density, 2) for w in report.weights}
    assert density == {"first": 0.5, "body": 1.0, "tiny": 0.5, "head": 0.25}


def test_a_rule_passes_over_weights_that_its_scheme_does_not_fit() -> None:
    graph = _net()
    report = prune(graph, [parse_rule("*:bcr=0.5"), parse_rule("*:pattern=0.9")])
    schemes = {w.layer: w.rule.rpartition(":")[2].partition("=")[0] for w in report.weights}
    assert schemes == {"first": "pattern", "body": "pattern", "tiny": "bcr", "head": "bcr"}
    run_passes(graph, LAYOUTS)
    layouts = {
        layer.name: layer.inputs[1].type.layout
        for layer in graph.layers
        if layer.op == "Conv" and layer.inputs[1] is not None
    }
    assert layouts == {"first": "pattern", "deep": "dense", "body": "pattern", "tiny": "bcr"}
    alone = prune(_net(), [parse_rule("pattern=0.9")])
    assert {w.layer: w.note for w in alone.weights}["head"] == ("pattern is for 3x3 convolutions")


def test_nm_passes_convolutions_over() -> None:
    graph = _net()
    report = prune(graph, [parse_rule("nm=0.5"), parse_rule("head:nm=0.5")])
    why = "nm is for matrices; it would make no convolution faster"
    assert {w.layer: (round(w.density, 2), w.note) for w in report.weights} == {
        "first": (1.0, why),
        "body": (1.0, why),
        "tiny": (1.0, why),
        "head": (0.5, ""),
    }
    assert f"({why})" in next(t for t in report.lines() if t.startswith("body.w"))


def test_nothing_is_pruned_unasked() -> None:
    graph = _net()
    report = prune(graph, [parse_rule("body:bcr=0.9")])
    assert [w.layer for w in report.weights if w.density < 1.0] == ["body"]
    assert {w.note for w in report.weights} == {"", "no rule names it"}


def test_a_rule_without_layers_is_refused() -> None:
    with pytest.raises(
        CompileError, match=r"--prune 'boby:bcr=0.5' names no layer; there are body"
    ):
        prune(_net(), [parse_rule("boby:bcr=0.5")])
    with pytest.raises(CompileError, match=r"names deep, which has no weight that sparse kernels"):
        prune(_net(), [parse_rule("deep:bcr=0.5")])


def test_the_report_counts_energy_and_output_error() -> None:
    graph = _net()
    calibration = [random_inputs(graph, seed) for seed in (1, 2)]
    rules = [parse_rule("body:unstructured=0.5")]
    report = prune(graph, rules, calibration, reconstruct=False)
    body = next(w for w in report.weights if w.layer == "body")
    assert 0.9 < body.kept_energy < 1.0
    assert body.kept_energy < report.kept_energy < 1.0
    assert report.output_error is not None
    assert 0.01 < report.output_error < 1.0
    lines = report.lines()
    assert len(lines) == len(report.weights) + 1
    assert "density 0.500" in next(line for line in lines if line.startswith("body.w"))
    assert "output error" in lines[-1]


def test_pruning_nothing_costs_nothing() -> None:
    graph = _net()
    report = prune(graph, [parse_rule("bcr=0")], [random_inputs(graph)])
    assert report.output_error == 0.0
    assert (report.density, report.kept_energy) == (1.0, 1.0)


def test_recurrent_weights_and_layouts_afterwards() -> None:
    b = Build()
    x = b.input(3, 1, 64)
    y = b.ops("GRU", x, b.weight(1, 192, 64), b.weight(1, 192, 64), hidden_size=64,
              direction="forward", linear_before_reset=1)[0]  # fmt: skip
    graph = b.graph(y)
    report = prune(graph, [parse_rule("bcr=0.9@16x64")])
    assert [w.operand for w in report.weights] == ["w", "r"]
    assert report.density == pytest.approx(0.1, abs=0.01)
    again = prune(graph, [parse_rule(f"{str(report.weights[1]).partition(':')[0]}:bcr=0.95@16x64")])
    assert [w.note for w in again.weights] == ["no rule names it", ""]
    run_passes(graph, (*LAYOUTS, *FINISH))
    verify(graph, "imported")
    layouts = [v.type.layout for v in graph.layers[0].inputs[1:3] if v]
    assert layouts == ["bcr", "bcr"]


def test_a_shared_weight_is_pruned_once() -> None:
    b = Build()
    w = b.weight(64, 64)
    graph = b.graph(b.gemm(b.gemm(b.input(2, 64), w), w))
    report = prune(graph, [parse_rule("*:bcr=0.5")])
    assert len(report.weights) == 1
