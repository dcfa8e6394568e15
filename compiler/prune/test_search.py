"""Rates and blocks chosen from made-up times, so that the best answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Graph, Layer
from coexec.compiler.passes.test_support import Build, random_inputs
from coexec.compiler.passes.weights import sparse_weights
from coexec.compiler.prune import PruneReport, Target, parse_rule, prune
from coexec.compiler.prune.latency import TimeVariants, Variant, measured_us
from coexec.compiler.prune.plan import make_plans, with_blocks
from coexec.compiler.prune.search import Base, frontier
from coexec.compiler.prune.trade_off import Option, draw_trade_off
from coexec.compiler.tune.cache import Tuning

BASE = Base(weights=200, nonzeros=0, us=5.0)


def _net() -> Graph:
    """Two layers of equal size; the second one's weights are nearly all in a few columns."""
    b = Build()
    x = b.input(4, 64)
    plain, few = b.weight(96, 64), b.weight(64, 96)
    assert few.constant is not None
    few.constant[:, 10:] *= np.float32(1e-3)
    graph = b.graph(b.gemm(b.gemm(x, plain, b.weight(96)), few, b.weight(64)))
    for layer, name in zip(graph.layers, ["plain", "few"], strict=True):
        layer.name = name
    return graph


def _by_nonzeros(_: Layer, variants: Mapping[str, Variant]) -> dict[str, float]:
    """A microsecond for every ten weights."""
    return {
        name: sum(np.count_nonzero(array) for array in make().values()) / 10.0
        for name, make in variants.items()
    }


def _search(rule: str, target: Target, calibrated: bool = False) -> PruneReport:
    graph = _net()
    examples = [random_inputs(graph, seed) for seed in range(30)] if calibrated else []
    return prune(graph, [parse_rule(rule)], examples, target=target, time=_by_nonzeros)


@pytest.mark.parametrize("calibrated", [False, True])
@pytest.mark.parametrize("rule", ["*:unstructured", "*:bcr"])
def test_what_is_needed_less_is_pruned_further(rule: str, calibrated: bool) -> None:
    report = _search(rule, Target(density=0.4), calibrated)
    density = {w.layer: w.density for w in report.weights}
    assert report.density <= 0.4
    assert density["few"] < 0.25 < density["plain"]
    assert report.taken is not None
    assert report.taken in report.frontier
    (marked,) = [line for line in report.lines() if "taken" in line]
    assert f"{report.taken.density:.3f}" in marked


def test_a_latency_counts_the_layers_times() -> None:
    report = _search("*:unstructured", Target(latency_us=600.0))
    assert report.taken is not None
    assert 400.0 < report.taken.us <= 600.0
    # 12288 weights at a tenth of a microsecond each, and nothing outside the search.
    assert report.taken.us == pytest.approx(report.density * 1228.8, rel=0.01)


def test_a_density_may_be_a_known_rate_but_for_its_last_bits() -> None:
    report = _search("*:unstructured", Target(density=0.07))  # 1 - 0.07 is not quite 0.93
    assert report.taken is not None
    assert report.density <= 0.07


def test_a_target_out_of_reach_is_refused_with_the_best() -> None:
    with pytest.raises(CompileError, match=r"latency 0.001ms is out of reach: .* density is 0.02"):
        _search("*:unstructured", Target(latency_us=1.0))
    with pytest.raises(CompileError, match="every layer has a rate or stays dense"):
        _search("*:unstructured=0.5", Target(density=0.1))


def test_rules_with_a_rate_hold_beside_a_target() -> None:
    report = prune(
        _net(),
        [parse_rule("*:unstructured"), parse_rule("plain:unstructured=0.5")],
        target=Target(density=0.3),
        time=_by_nonzeros,
    )
    density = {w.layer: w.density for w in report.weights}
    assert density["plain"] == 0.5
    assert density["few"] <= 0.1


def test_the_frontier_takes_the_cheapest_harm_first_and_skips_what_never_pays() -> None:
    layers = [
        [Option(0, 100, 50, 0.0), Option(0.5, 50, 60, 0.5), Option(0.9, 10, 20, 0.6)],
        [Option(0, 100, 50, 0.0), Option(0.5, 50, 30, 0.01), Option(0.9, 10, 10, 0.9)],
    ]
    by_weights = frontier(layers, BASE, by_time=False)
    taken = [tuple(option.rate for option in point.taken) for point in by_weights]
    assert taken == [(0, 0), (0, 0.5), (0.9, 0.5), (0.9, 0.9)]
    assert [point.density for point in by_weights] == [1.0, 0.75, 0.3, 0.1]
    by_time = frontier(layers, BASE, by_time=True)
    assert [point.us for point in by_time] == [105.0, 85.0, 55.0, 35.0]
    assert all(a.harm <= b.harm for a, b in pairwise(by_time))


@pytest.mark.parametrize(("fast_from_rows", "block"), [(0, "8x64"), (16, "16x16"), (64, "64x64")])
def test_the_smallest_block_that_is_fast_enough(fast_from_rows: int, block: str) -> None:
    def time(_: Layer, variants: Mapping[str, Variant]) -> dict[str, float]:
        rows = {name: int(name.rpartition("@")[2].partition("x")[0]) for name in variants}
        return {name: 1.05 if r >= fast_from_rows else 2.0 for name, r in rows.items()}

    report = prune(_net(), [parse_rule("plain:bcr=0.8")], time=time)
    assert report.weights[0].rule == f"plain:bcr=0.8@{block}"


def test_a_block_that_was_measured_once_is_taken_again(tmp_path: Path) -> None:
    def fast_from(rows: int) -> TimeVariants:
        def time(_: Layer, variants: Mapping[str, Variant]) -> dict[str, float]:
            sizes = {name: int(name.rpartition("@")[2].partition("x")[0]) for name in variants}
            return {name: 1.0 if size >= rows else 2.0 for name, size in sizes.items()}

        return time

    def block(rows: int, rate: float) -> str:
        known = Tuning(tmp_path)
        rule = parse_rule(f"plain:bcr={rate:g}")
        report = prune(_net(), [rule], time=fast_from(rows), known=known)
        known.save()
        return report.weights[0].rule.rpartition("@")[2]

    assert block(16, 0.8) == "16x16"
    assert block(64, 0.8) == "16x16"  # as known, and not as it would be measured now
    assert block(64, 0.5) == "64x64"  # another question


@pytest.mark.parametrize(
    ("rule", "first"),
    [("bcr", "w:bcr=0.8@16x64"), ("bcr=0.5", "w:bcr=0.5@16x64"), ("bcr=0.5@64x1", None)],
)
def test_a_block_is_measured_beside_the_other_weight_as_its_rule_has_it(
    rule: str, first: str | None
) -> None:
    b = Build()
    w, r = b.weight(1, 192, 64), b.weight(1, 192, 64)
    x = b.input(3, 1, 64)
    y = b.ops("GRU", x, w, r, hidden_size=64, direction="forward", linear_before_reset=1)
    graph = b.graph(y[0])
    of_w, of_r = make_plans(graph, [parse_rule("*:bcr=0.8")], list(sparse_weights(graph)))
    of_w = replace(of_w, rule=parse_rule(rule))
    seen = []

    def time(_: Layer, variants: Mapping[str, Variant]) -> dict[str, float]:
        for name, make in variants.items():
            arrays = make()
            if list(arrays) == [w, r]:  # r is what is measured
                seen.append(name.partition(" ")[0])
                assert np.mean(arrays[w] == 0) == pytest.approx(of_w.rule.rate or 0.8, abs=0.02)
                assert np.mean(arrays[r] == 0) == pytest.approx(0.8, abs=0.02)
        return dict.fromkeys(variants, 1.0)

    with_blocks([of_w, of_r], 0.8, time, Tuning(None))
    assert seen
    assert set(seen) == {first or f"w:{rule}"}


def test_layers_are_measured_once() -> None:
    graph = _net()
    weight = graph.layers[0].inputs[1]
    assert weight is not None
    assert weight.constant is not None
    array, made = weight.constant, []

    def variant(rate: float) -> Variant:
        def make() -> dict[object, object]:
            made.append(rate)
            return {weight: np.where(np.arange(64) < 64 * (1 - rate), array, np.float32(0))}

        return make  # type: ignore[return-value]

    names = {f"test {rate}": variant(rate) for rate in (0.0, 0.9)}
    first = measured_us(graph.layers[0], names)
    assert measured_us(graph.layers[0], names) == first
    assert made == [0.0, 0.9]
    assert all(us > 0.0 for us in first.values())


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = _search("*:unstructured", Target(density=0.2))
    assert report.taken is not None
    draw_trade_off(report.frontier, report.taken, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(CompileError, match=r"cannot be written: [A-Z][a-z ]+$"):
        draw_trade_off(report.frontier, report.taken, tmp_path / "no" / "curve.png")
