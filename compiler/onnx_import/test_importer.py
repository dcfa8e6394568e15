import numpy as np
import onnx
import onnx.parser
import pytest

from coexec.compiler.onnx_import import Imported, WholeModelError, import_model, prepare

_HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>\n'


def _import(text: str) -> Imported:
    """Without the optimiser, so that the walk itself must fold."""
    return import_model(onnx.parser.parse_model(_HEAD + text))


def _constant(imported: Imported, name: str) -> object:
    array = imported.values[name].constant
    assert array is not None
    return array.tolist()


def test_shapes_and_what_follows_from_them_are_constants() -> None:
    imported = _import(
        """g (float[2,3,4] x) => (float[a] y) <int64[1] one = {1}>
           {s = Shape(x) t = Shape<start = 1, end = -1>(x) n = Size(x) d = Gather(s, one)
            m = Mul(d, n) c = Concat<axis = 0>(s, m) y = Relu(x)}"""
    )
    assert _constant(imported, "t") == [3]
    assert _constant(imported, "n") == 24
    assert _constant(imported, "c") == [2, 3, 4, 72]
    assert [item.node.op_type for item in imported.items] == ["Relu"]


def test_constant_nodes_of_every_kind() -> None:
    imported = _import(
        """g (float[2] x) => (float[2] y)
           {a = Constant<value_int = 5>() b = Constant<value_floats = [1.5, 2.5]>()
            c = Constant<value = float[2] {3.0, 4.0}>() d = Add(b, c) y = Add(x, d)}"""
    )
    assert _constant(imported, "a") == 5
    assert _constant(imported, "d") == [4.5, 6.5]


def test_a_large_result_is_not_folded() -> None:
    imported = _import(
        """g (float[1] x) => (float[a,b] y) <int64[2] s = {4000, 4000}, float[1] w = {1.0}>
           {e = Expand(w, s) y = Add(x, e)}"""
    )
    assert [layer.op for item in imported.items for layer in item.layers] == ["Expand", "Add"]


def test_random_numbers_are_not_folded() -> None:
    imported = _import(
        "g (float[2] x) => (float[2] y) {r = RandomNormal<shape = [2]>() y = Add(x, r)}"
    )
    assert imported.items[0].reason == "no native kernel for RandomNormal"
    assert imported.items[1].layers[0].op == "Add"


def test_constants_of_other_dtypes_stay_onnxs() -> None:
    text = """g (float[2] x) => (float[2] y, string[1] s)
              {s = Constant<value_strings = ["a"]>() c = Cast<to = 1>(b) y = Add(x, c)}"""
    model = onnx.parser.parse_model(_HEAD + text)
    wide = onnx.helper.make_tensor("b", onnx.TensorProto.BFLOAT16, [2], [1.0, 2.0])
    model.graph.initializer.append(wide)
    imported = import_model(model)
    assert _constant(imported, "c") == [1.0, 2.0]
    assert imported.items[0].outputs["s"].type.dtype == "string"


def test_onnxruntimes_own_ops_have_types() -> None:
    imported = _import(
        """g (float[2,4] x) => (float[2,4] y) <float[4] b = {1.0, 2.0, 3.0, 4.0}>
           {a = com.microsoft.BiasGelu(x, b) y = Relu(a)}"""
    )
    assert imported.items[0].reason == "no native kernel for com.microsoft.BiasGelu"
    assert str(imported.values["a"].type) == "f32[2, 4]"
    assert imported.items[1].layers


def test_an_op_nobody_knows_has_no_type() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17, "example.org" : 1]>'
        "g (float[2] x) => (float[2] y) {a = example.org.Magic(x) y = Relu(a)}"
    )
    imported = import_model(model)
    assert imported.items[1].reason == "its operand a is of a type known only at run time"


def test_attributes_that_make_no_sense_are_a_reason() -> None:
    imported = _import("g (float[2,2] x) => (float[2,2] y) {y = Transpose<perm = [0]>(x)}")
    assert imported.items[0].reason == "its perm [0] does not name every dim"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("g (float[2] x) => (float[2] y) {y = Relu(a) a = Relu(x)}", "reads a too early"),
        ("g (float[2] x) => (float[2] y) {a = Relu(x)}", "nothing computes its output y"),
        ("g (float[N] x) => (float[N] y) {y = Relu(x)}", r"its input x is f32\[N\]"),
        ("g (seq(float[2]) x) => (float[2] y) {y = Relu(x)}", "its input x is a sequence"),
    ],
)
def test_what_cannot_be_taken_apart(text: str, reason: str) -> None:
    with pytest.raises(WholeModelError, match=reason):
        _import(text)


def test_damaged_initializers_and_sparse_ones() -> None:
    text = "g (float[2] x) => (float[2] y) <float[2] w = {1.0, 2.0}> {y = Add(x, w)}"
    model = onnx.parser.parse_model(_HEAD + text)
    model.graph.initializer[0].ClearField("float_data")
    model.graph.initializer[0].raw_data = b"123"
    with pytest.raises(WholeModelError, match="initializer w is malformed"):
        import_model(model)
    model.graph.sparse_initializer.add()
    with pytest.raises(WholeModelError, match="sparse"):
        import_model(model)


def test_functions_are_inlined_even_when_the_optimiser_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
              g (float[2] x) => (float[2] y) {y = own.twice(x)}
              <domain: "own", opset_import: ["" : 17]> twice (a) => (b) {b = Add(a, a)}"""
    model = onnx.parser.parse_model(text)
    for fails in (False, True):
        if fails:
            monkeypatch.setattr("coexec.compiler.onnx_import.optimise.optimised", None)
        imported = import_model(prepare(model, {"x": (2,)}))
        assert [layer.op for item in imported.items for layer in item.layers] == ["Add"]


def test_batch_normalisation_folds_into_the_convolution() -> None:
    ones = [np.ones(2, np.float32)] * 4
    weights = [np.ones((2, 1, 1, 1), np.float32), *ones]
    names = ["w", "scale", "bias", "mean", "var"]
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["a"]),
        onnx.helper.make_node("BatchNormalization", ["a", *names[1:]], ["y"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, ["N", 1, 2, 2])]
        + [
            onnx.helper.make_tensor_value_info(n, 1, w.shape)
            for n, w in zip(names, weights, strict=True)
        ],
        [onnx.helper.make_tensor_value_info("y", 1, ["N", 2, 2, 2])],
        [onnx.numpy_helper.from_array(w, n) for n, w in zip(names, weights, strict=True)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 15)])
    imported = import_model(prepare(model, {"x": (1, 1, 2, 2)}))
    assert [layer.op for item in imported.items for layer in item.layers] == ["Conv"]
    assert [value.name for value in imported.inputs] == ["x"]
