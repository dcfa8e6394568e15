import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir import Graph
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.onnx_import import signature_of
from coexec.compiler.onnx_import.conftest import Array, graph_of, run_by_onnxruntime
from coexec.compiler.partition import whole_model

# Tan has no native kernel and keeps its operand's shape; NonZero's result has a shape of its own.
_HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
_X = np.array([[0.5, -1.0, 0.0], [2.0, 0.25, -0.5]], np.float32)


def _graph(text: str) -> Graph:
    graph = graph_of(onnx.parser.parse_model(_HEAD + text))
    assert graph is not None
    return graph


def _ops(graph: Graph) -> list[str]:
    return [layer.op for layer in graph.layers]


def _same(text: str, *inputs: Array) -> Graph:
    """The graph, after checking that it computes what ONNX Runtime does."""
    model = onnx.parser.parse_model(_HEAD + text)
    graph = graph_of(model)
    assert graph is not None
    names = [info.name for info in model.graph.input]
    want = run_by_onnxruntime(model, dict(zip(names, inputs, strict=True)))
    assert [value.name for value in graph.outputs] == [info.name for info in model.graph.output]
    for got, expected in zip(interpret(graph, list(inputs)), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    return graph


def test_a_foreign_node_between_native_ones_is_one_layer() -> None:
    graph = _same("g (float[2,3] x) => (float[2,3] y) {a = Relu(x) b = Tan(a) y = Exp(b)}", _X)
    assert _ops(graph) == ["Relu", ONNX_RUNTIME, "Exp"]
    assert "(Tan): no native kernel for Tan" in graph.layers[1].why_not_native
    assert graph.layers[1].attrs == {"flops": 6}


def test_foreign_nodes_that_touch_are_one_layer() -> None:
    graph = _same(
        """g (float[2,3] x) => (float[2,3] y, float[2,3] z)
           {a = Tan(x) b = Sinh(a) c = Cosh(a) y = Relu(b) z = Exp(c)}""",
        _X,
    )
    assert _ops(graph).count(ONNX_RUNTIME) == 1
    assert len(graph.layers[0].outputs) == 2


def test_a_native_node_in_between_parts_them() -> None:
    """One subgraph of both would read the Relu that reads from it."""
    graph = _same(
        """g (float[2,3] x) => (float[2,3] y)
           {a = Tan(x) b = Relu(a) c = Sinh(a) d = Add(b, c) y = Tan(d)}""",
        _X,
    )
    assert _ops(graph).count(ONNX_RUNTIME) == 2


def test_movement_between_foreign_nodes_joins_them() -> None:
    graph = _same(
        """g (float[2,3] x) => (float[3,2] y)
           {r = Relu(x) a = Tan(r) b = Transpose(a) c = Sinh(b) y = Exp(c)}""",
        _X,
    )
    assert _ops(graph) == ["Relu", ONNX_RUNTIME, "Exp"]
    assert "only moves data" in graph.layers[1].why_not_native


def test_what_follows_an_unknown_shape_stays_with_onnxruntime() -> None:
    graph = _same(
        """g (float[2,3] x) => (int64[a,b] y, float[2,3] z)
           {z = Relu(x) n = NonZero(z) m = Neg(n) y = Abs(m)}""",
        _X,
    )
    assert _ops(graph) == ["Relu", ONNX_RUNTIME]
    assert graph.outputs[0].type.shape == (2, -1)
    assert "its operand n is i64[2, " in graph.layers[1].why_not_native


def test_a_value_of_unknown_shape_never_leaves_its_subgraph() -> None:
    """The last node reads both the unknown and what native nodes made after it began."""
    graph = _same(
        """g (float[2,3] x) => (float[6] y, float[2,3] z)
           {t = Tan(x) n = NonZero(t) e = Exp(t) f = Relu(e) s = Sinh(f) p = Transpose(n)
            y = GatherND(s, p) z = Sqrt(x)}""",
        np.abs(_X) + 0.1,
    )
    assert sorted(_ops(graph)) == [ONNX_RUNTIME, "Sqrt"]
    assert "which only ONNX Runtime can hold" in graph.layers[-1].why_not_native
    for layer in graph.layers:
        for value in layer.inputs:
            assert value is None or value.type.is_static


def test_nothing_native_is_no_graph() -> None:
    model = onnx.parser.parse_model(_HEAD + "g (float[2] x) => (float[2] y) {y = Tan(x)}")
    assert graph_of(model) is None


def test_outputs_are_values_of_their_own() -> None:
    graph = _same(
        """g (float[2,3] x) => (float[2,3] same, float[2,3] twice, float[2,3] once, float[2] held)
           <float[2] w = {1.5, 2.5}>
           {same = Identity(x) once = Relu(x) twice = Identity(once) held = Identity(w)}""",
        _X,
    )
    assert len({id(value) for value in graph.outputs}) == 4
    assert not set(graph.inputs) & set(graph.outputs)


def test_a_copy_no_kernel_takes_is_onnxruntimes() -> None:
    model = onnx.parser.parse_model(
        _HEAD
        + """g (float[2] x) => (float[2] y, string[1] s)
             {y = Relu(x) s = Constant<value_strings = ["a"]>()}"""
    )
    graph = graph_of(model)
    assert graph is not None
    assert interpret(graph, [_X[0, :2]])[1].tolist() == ["a"]


def test_what_a_branch_captures_is_an_operand() -> None:
    graph = _same(
        """g (float[2,3] x, bool c) => (float[2,3] y)
           {a = Exp(x) b = Relu(x)
            d = If (c) <then_branch = t () => (float[2,3] u) {u = Neg(a)},
                        else_branch = e () => (float[2,3] v) {v = Abs(b)}>
            y = Sqrt(d)}""",
        np.abs(_X),
        np.array(True),
    )
    foreign = next(layer for layer in graph.layers if layer.op == ONNX_RUNTIME)
    assert len(foreign.inputs) == 3


def test_two_names_of_one_value_inside_a_subgraph() -> None:
    _same(
        """g (float[2,3] x) => (float[2,3] y)
           {r = Relu(x) a = Tan(r) b = Identity(a) c = Dropout(b) d = Sinh(c)
            e = Add(a, d) y = Tan(e)}""",
        _X,
    )


def test_the_whole_model_keeps_its_dynamic_dims() -> None:
    model = onnx.parser.parse_model(_HEAD + "g (float[N,3] x) => (float[N,3] y) {y = Tan(x)}")
    graph = whole_model(model, signature_of(model), "m", "because")
    assert graph.inputs[0].type.shape == (-1, 3)
    assert graph.layers[0].why_not_native == "because"
    np.testing.assert_allclose(interpret_dynamic(graph, _X), np.tan(_X), rtol=1e-5)


def interpret_dynamic(graph: Graph, x: Array) -> Array:
    model = onnx.load_model_from_string(graph.layers[0].onnx_model)
    return run_by_onnxruntime(model, {graph.inputs[0].name: x})[0]


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Random nodes over earlier values; some native, some foreign, some that only move."""
    names, lines = ["x"], []
    for i in range(draw(st.integers(1, 14))):
        op = draw(st.sampled_from(["Relu", "Tan", "Sinh", "Add", "Identity", "Neg", "Flatten"]))
        count = 2 if op == "Add" else 1
        operands = [draw(st.sampled_from(names)) for _ in range(count)]
        if op == "Flatten":
            op = "Flatten<axis = 1>"
        lines.append(f"v{i} = {op}({', '.join(operands)})")
        names.append(f"v{i}")
    outputs = sorted(draw(st.sets(st.sampled_from(names[1:]), min_size=1, max_size=3)))
    declared = ", ".join(f"float[2,3] {name}" for name in outputs)
    return f"g (float[2,3] x) => ({declared}) {{{' '.join(lines)}}}"


@settings(deadline=None, max_examples=40)
@given(text=programs())
def test_random_programs_part_without_cycles(text: str) -> None:
    model = onnx.parser.parse_model(_HEAD + text)
    if graph_of(model) is not None:
        _same(text, _X / 4)


@pytest.mark.parametrize("op", ["SequenceConstruct", "SplitToSequence"])
def test_sequences_stay_inside(op: str) -> None:
    graph = _same(
        f"""g (float[2,3] x) => (float[2,3] y)
            <int64 first = {{0}}>
            {{a = Relu(x) s = {op}(a) b = SequenceAt(s, first) c = Tan(b) y = Exp(c)}}"""
        if op == "SequenceConstruct"
        else """g (float[2,3] x) => (float[1,3] y) <int64 first = {0}>
            {a = Relu(x) s = SplitToSequence(a) b = SequenceAt(s, first) y = Tan(b)}""",
        _X,
    )
    assert _ops(graph)[0] == "Relu"
