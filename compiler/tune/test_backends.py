from collections.abc import Callable, Mapping

import numpy as np
import pytest

from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Graph
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.onnx_export import to_onnx
from coexec.compiler.passes.test_support import Build, ops_of, random_inputs
from coexec.compiler.program import cost
from coexec.compiler.tune import EFFORTS, Candidate, Choice, Tuning, backends
from coexec.compiler.tune.backends import Backends, tune_backends
from coexec.compiler.tune.foreign import handed_over, interface, profiled_us
from coexec.compiler.tune.layouts import tune_layouts
from coexec.compiler.tune.measure import Budget, Run

FAST = EFFORTS["fast"]


def network() -> Graph:
    b = Build()
    x = b.input(1, 4, 12, 12)
    a = b.op("Relu", b.conv(x, b.weight(8, 4, 3, 3), b.weight(8), pad=1))
    c = b.conv(a, b.weight(8, 8, 1, 1))
    joined = b.op("Add", a, c)
    return b.graph(b.op("ReduceMean", joined, axes=[2, 3], keepdims=1), b.op("Sigmoid", c))


def judge(
    named: dict[str, float], other: float = 1e9
) -> Callable[[Mapping[str, Run], Budget], dict[str, float]]:
    def race(contenders: Mapping[str, Run], _: Budget) -> dict[str, float]:
        for run in contenders.values():
            assert run() > 0
        return {name: named.get(name, other) for name in contenders}

    return race


def no_race(_: Mapping[str, Run], __: Budget) -> dict[str, float]:
    raise AssertionError("measured again")


def tuned(graph: Graph, named: dict[str, float], tuning: Tuning, whole: bytes = b"") -> Backends:
    return tune_backends(graph, whole, FAST, tuning, {}, judge(named))


def same_results(made: Graph, graph: Graph) -> None:
    feed = {v.name: a for v, a in zip(graph.inputs, random_inputs(graph), strict=True)}
    got, want = runner_of(made).run(feed), runner_of(graph).run(feed)
    for value in graph.outputs:
        np.testing.assert_allclose(got[value.name], want[value.name], rtol=1e-4, atol=1e-5)


def test_native_when_nothing_is_faster() -> None:
    graph = network()
    made = tuned(graph, {"native": 100.0, "onnxruntime": 99.0}, Tuning(None))
    assert made.graph is graph
    assert set(made.choices) == {layer.name for layer in graph.layers}
    assert all(
        [c.name for c in choice.candidates] == ["native", "onnxruntime"]
        and choice.taken == "native"
        for choice in made.choices.values()
    )


@pytest.mark.parametrize("given", [True, False])
def test_all_of_it_when_that_is_faster(given: bool) -> None:
    graph = network()
    whole = to_onnx(graph.layers, graph.inputs, graph.outputs).SerializeToString()
    scores = {"native": 100.0, "onnxruntime": 90.0}
    made = tuned(graph, scores, Tuning(None), whole if given else b"")
    assert ops_of(made.graph) == [ONNX_RUNTIME]
    (layer,) = made.graph.layers
    assert made.choices[layer.name].taken == "onnxruntime"
    assert layer.attrs["flops"] == sum(cost(inner)[0] for inner in graph.layers) > 0
    assert {line.split(" ")[0] for line in layer.why_not_native.splitlines()} == {
        inner.name for inner in graph.layers
    }
    same_results(made.graph, graph)


def test_runs_of_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "cheapest_spans", lambda *_: [(1, 3), (4, 5)])
    graph, tuning = network(), Tuning(None)
    made = tuned(graph, {"native": 100.0, "onnxruntime 1:3 4:5": 50.0}, tuning)
    assert ops_of(made.graph) == ["Conv", ONNX_RUNTIME, "Add", ONNX_RUNTIME, "Sigmoid"]
    same_results(made.graph, graph)
    again = tune_backends(network(), b"", None, tuning, {}, no_race)
    assert ops_of(again.graph) == ops_of(made.graph)
    assert runner_digest(again.graph) == runner_digest(made.graph)  # so they are shared


def runner_digest(graph: Graph) -> list[bytes]:
    runner_of(graph)  # sets them
    return [value.digest for value in graph.outputs]


def test_without_an_effort_and_a_measurement_all_stays() -> None:
    graph = network()
    assert tune_backends(graph, b"", None, Tuning(None), {}, no_race).graph is graph


def test_a_wrong_model_is_never_taken() -> None:
    graph, other = network(), network()
    weight = other.layers[0].inputs[1]
    assert weight is not None
    assert weight.constant is not None
    weight.constant = weight.constant + 1
    whole = to_onnx(other.layers, other.inputs, other.outputs).SerializeToString()
    tuning = Tuning(None)
    made = tuned(graph, {"native": 100.0, "onnxruntime": 1.0}, tuning, whole)
    assert made.graph is graph
    notes = [c.note for c in _of(graph, tuning).candidates if c.name == "onnxruntime"]
    assert "differs by" in notes[0]


def test_what_is_too_large_for_onnxruntime_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, tuning = network(), Tuning(None)
    monkeypatch.setattr("coexec.compiler.tune.foreign.MODEL_BYTES_MAX", 1000)
    assert tuned(graph, {"native": 100.0}, tuning).graph is graph
    (note,) = (c.note for c in _of(graph, tuning).candidates if c.name == "onnxruntime")
    assert "its weights take 1440 bytes" in note
    row = Candidate("onnxruntime")
    tuning.keep(backends._key(graph), Choice([row], row.name, "full"))
    assert tune_backends(graph, b"", FAST, tuning, {}, no_race).graph is graph


def test_a_model_onnxruntime_refuses_is_noted() -> None:
    graph, tuning = network(), Tuning(None)
    nonsense = to_onnx(graph.layers, graph.inputs, graph.outputs)
    nonsense.graph.node[0].op_type = "Nonsense"
    made = tuned(graph, {"native": 100.0}, tuning, nonsense.SerializeToString())
    assert made.graph is graph
    assert any("refuses" in c.note for c in _of(graph, tuning).candidates)


def _of(graph: Graph, tuning: Tuning) -> Choice:
    choice = tuning.find(backends._key(graph))
    assert choice is not None
    return choice


def test_a_choice_that_does_not_fit_the_graph_is_not_followed() -> None:
    graph, tuning = network(), Tuning(None)
    row = Candidate("onnxruntime 3:99")
    tuning.keep(backends._key(graph), Choice([row], row.name, "full"))
    assert tune_backends(graph, b"", FAST, tuning, {}, no_race).graph is graph


def test_foreign_layers_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "cheapest_spans", lambda *_: [(0, 1)])
    graph = handed_over(network(), [(2, 3)], "given")
    made = tuned(graph, {"native": 100.0, "onnxruntime 0:1 3:4": 50.0}, Tuning(None))
    ops = [ONNX_RUNTIME, "Relu", ONNX_RUNTIME, ONNX_RUNTIME, "ReduceMean", "Sigmoid"]
    assert ops_of(made.graph) == ops
    same_results(made.graph, graph)


def test_a_second_reader_of_a_weight_leaves_the_first_ones_choice() -> None:
    def shared() -> Graph:
        b = Build()
        array = b.rng.normal(0, 1, (64, 64)).astype(np.float32)
        w = b.constant(np.where(np.arange(64) % 4 == 0, array, np.float32(0)))
        return b.graph(b.gemm(b.gemm(b.input(1, 64), w), w))

    graph, tuning = shared(), Tuning(None)
    choices = tune_layouts(graph, FAST, tuning, judge({"csr": 1.0}))
    tune_backends(graph, b"", FAST, tuning, choices, judge({"native": 1.0}))
    again = shared()
    tune_layouts(again, None, tuning, no_race)
    first, second = (layer.inputs[1] for layer in again.layers)
    assert first is second
    assert first is not None
    assert first.type.layout == "csr"


def test_interface_of_a_run() -> None:
    graph = network()
    inputs, outputs = interface(graph, (1, 3))
    conv, relu, pointwise = graph.layers[:3]
    assert inputs == conv.outputs
    assert outputs == [*relu.outputs, *pointwise.outputs]


def test_profile_gives_every_heavy_layer_its_time() -> None:
    times = profiled_us(network(), (0, 6))
    assert len(times) == 6
    assert sum(times) > 0
