from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.passes.test_support import Build
from coexec.compiler.tune import EFFORTS, Candidate, Choice, Tuning
from coexec.compiler.tune.candidates import layout_candidates, sparse_operands, worth_measuring
from coexec.compiler.tune.key import layer_key
from coexec.compiler.tune.layouts import tune_layouts
from coexec.compiler.tune.measure import Budget, Run
from coexec.compiler.tune.trial import Trial, disagreement, tolerance
from coexec.kernels import _kernels

FAST, FULL = EFFORTS["fast"], EFFORTS["full"]


def judge(**scores: float) -> Callable[[Mapping[str, Run], Budget], dict[str, float]]:
    """A race with a known end; every contender must run."""

    def race(contenders: Mapping[str, Run], budget: Budget) -> dict[str, float]:
        assert budget.rounds_min <= budget.rounds_max
        for run in contenders.values():
            run()
        return {name: scores[name.replace("=", "_").replace(" ", "_")] for name in contenders}

    return race


def sparse(rows: int, columns: int, zeros: float, seed: int = 0) -> Array:
    w = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    w[np.random.default_rng(1).random(w.shape) < zeros] = 0
    return w


def gemm(zeros: float, seed: int = 0) -> tuple[Graph, Layer, Value]:
    b = Build()
    w = b.constant(sparse(48, 64, zeros, seed))
    graph = b.graph(b.gemm(b.input(4, 64), w))
    return graph, graph.layers[0], w


def test_the_fastest_layout_is_taken_and_kept() -> None:
    graph, layer, w = gemm(0.8)
    tuning = Tuning(None)
    scores = judge(dense=30.0, bcr=20.0, csr=10.0)
    choices = tune_layouts(graph, FULL, tuning, scores)
    assert w.type.layout == "csr"
    assert choices[layer.name] == tuning.find(layer_key(layer), "full")
    assert {c.name: c.measured_us for c in choices[layer.name].candidates} == {
        "dense": 30.0,
        "bcr": 20.0,
        "csr": 10.0,
    }


def test_the_cache_spares_the_race_and_gives_an_equal_layer_the_same() -> None:
    tuning = Tuning(None)
    graph, layer, _ = gemm(0.8, seed=1)
    tune_layouts(graph, FULL, tuning, judge(dense=30.0, bcr=5.0, csr=10.0))

    def no_race(_: Mapping[str, Run], __: Budget) -> dict[str, float]:
        raise AssertionError("measured again")

    for effort in (None, FAST, FULL):
        other, same, w = gemm(0.8, seed=2)  # other values, zeros in the same places
        assert layer_key(same) == layer_key(layer)
        choices = tune_layouts(other, effort, tuning, no_race)
        assert w.type.layout == choices[same.name].taken == "bcr"


def test_without_an_effort_and_a_measurement_all_stays() -> None:
    graph, _, w = gemm(0.8)
    assert tune_layouts(graph, None, Tuning(None)) == {}
    assert w.type.layout == "dense"


def test_equal_speed_changes_nothing() -> None:
    graph, _, w = gemm(0.8)
    tune_layouts(graph, FULL, Tuning(None), judge(dense=10.0, bcr=9.9, csr=9.9))
    assert w.type.layout == "dense"


def test_a_weight_without_zeros_is_no_question() -> None:
    graph, layer, _ = gemm(0.0)
    assert sparse_operands(layer) == []
    assert tune_layouts(graph, FULL, Tuning(None), judge()) == {}


def test_a_weight_of_two_readers_has_the_first_ones_layout() -> None:
    b = Build()
    w = b.constant(sparse(64, 64, 0.8))
    first = b.gemm(b.input(1, 64), w)
    graph = b.graph(b.gemm(first, w))
    choices = tune_layouts(graph, FULL, Tuning(None), judge(dense=30.0, bcr=20.0, csr=10.0))
    assert list(choices) == [graph.layers[0].name]
    assert w.type.layout == "csr"


def test_recurrent_weights_are_chosen_together() -> None:
    b = Build()
    w = b.constant(sparse(192, 16, 0.8).reshape(1, 192, 16))
    r = b.constant(sparse(192, 64, 0.8).reshape(1, 192, 64))
    x = b.input(3, 1, 16)
    y, _ = b.ops("GRU", x, w, r, hidden_size=64, direction="forward", linear_before_reset=1)
    scores = {
        f"w_{a}_r_{c}": 50.0 for a in ("dense", "bcr", "csr") for c in ("dense", "bcr", "csr")
    }
    choices = tune_layouts(b.graph(y), FULL, Tuning(None), judge(**scores | {"w_csr_r_bcr": 9.0}))
    assert (w.type.layout, r.type.layout) == ("csr", "bcr")
    assert len(next(iter(choices.values())).candidates) == 9


def test_what_must_be_slow_is_not_measured() -> None:
    graph, layer, _ = gemm(0.95)
    candidates = layout_candidates(layer, [1])
    worth = {c.name: w for c, w in worth_measuring(candidates, FAST.work_max)}
    # The present one always is, and so are the two predicted best.
    assert worth == {"dense": True, "bcr": True, "csr": True, "nm": False}
    choices = tune_layouts(graph, FAST, Tuning(None), judge(dense=30.0, bcr=20.0, csr=10.0))
    (note,) = (c.note for c in choices[layer.name].candidates if c.name == "nm")
    assert "not measured" in note


def test_winograd_counts_before_dense_is_called_slow() -> None:
    b = Build()
    w = b.weight(32, 32, 3, 3)
    assert w.constant is not None
    w.constant *= b.rng.random(w.constant.shape) < 0.14
    graph = b.graph(b.conv(b.input(1, 32, 28, 28), w, pad=1))
    layer = graph.layers[0]
    w.type = replace(w.type, layout="csr")
    work = {c.name: c.work for c in layout_candidates(layer, [1])}
    assert work["dense"] == 0.4
    assert work["csr"] == pytest.approx(1.4 * np.mean(w.constant != 0))
    worth = {c.name: w for c, w in worth_measuring(layout_candidates(layer, [1]), FAST.work_max)}
    assert 3 * work["csr"] < 1
    assert worth["dense"]


def test_rounded_inputs_are_no_wrong_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that multiplies bf16 the dense layout rounds x, and csr does not."""
    b = Build()
    x = b.rng.standard_normal((16, 512)).astype(np.float32)
    w = sparse(64, 512, 0.9).astype(ml_dtypes.bfloat16)
    graph = b.graph(b.gemm(b.input(16, 512), b.constant(w)))
    wide = w.astype(np.float32).T
    exact, rounded = x @ wide, x.astype(ml_dtypes.bfloat16).astype(np.float32) @ wide
    for isa, alike in (("avx2", False), ("bf16", True), ("amx", True)):
        monkeypatch.setattr(_kernels, "host_isa", lambda isa=isa: isa)
        assert (not disagreement([exact], [rounded], tolerance(graph.layers[0]))) == alike
    assert tolerance(gemm(0.5)[1]) < 2**-12


def test_a_layout_that_gives_other_results_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Trial.native

    def lying(self: Trial, layer: Layer) -> tuple[Callable[[], object], list[Array]]:
        run, results = honest(self, layer)
        weight = layer.inputs[1]
        if weight is None or weight.type.layout != "csr":
            return run, results
        return lambda: (run(), np.add(results[0], 1.0, out=results[0])), results

    monkeypatch.setattr(Trial, "native", lying)
    graph, layer, w = gemm(0.8)
    choices = tune_layouts(graph, FULL, Tuning(None), judge(dense=30.0, bcr=20.0))
    assert w.type.layout == "bcr"
    (note,) = (c.note for c in choices[layer.name].candidates if c.name == "csr")
    assert "result 0 differs by" in note


def test_a_choice_of_another_build_is_not_followed() -> None:
    graph, layer, w = gemm(0.8)
    tuning = Tuning(None)
    tuning.keep(layer_key(layer), Choice([Candidate("tiles")], "tiles", "full"))
    assert tune_layouts(graph, None, tuning) == {}
    assert w.type.layout == "dense"
    tune_layouts(graph, FULL, tuning, judge(dense=30.0, bcr=20.0, csr=10.0))
    assert w.type.layout == "csr"
    found = tuning.find(layer_key(layer), "full")
    assert found is not None
    assert found.taken == "csr"


def _f32(values: list[Any]) -> Array:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("got", "want", "text"),
    [
        (_f32([1, 2]), _f32([1, 2.00001]), ""),
        (_f32([1, 2]), _f32([1, 2.1]), "differs by"),
        (_f32([1, np.nan]), _f32([1, 2]), "differs by"),
        (_f32([1e-9]), _f32([2e-9]), ""),
        (_f32([1]), _f32([[1]]), "expected float32"),
        (np.array([1, 2]), np.array([1, 3]), "result 0 differs"),
        (_f32([]), _f32([]), ""),
    ],
)
def test_disagreement(got: Array, want: Array, text: str) -> None:
    found = disagreement([got], [want])
    assert text in found
    assert bool(found) == bool(text)
