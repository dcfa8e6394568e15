"""Digests say what a value is, whatever it is called."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from coexec.compiler.ir import Graph, Layer, Value
from coexec.compiler.ir.activation import NO_ACTIVATION
from coexec.compiler.ir.verify import verify
from coexec.compiler.passes import digest
from coexec.compiler.passes.test_support import Build


def _digested(graph: Graph) -> Graph:
    digest.run(graph)
    verify(graph, "digested")
    return graph


def _net(prefix: str, scale: float = 1.0, layout: str = "dense", first: int = 0) -> Graph:
    """Gemm, Relu, Gemm: the last weight is scaled. The prefix enters every name."""
    b = Build()
    b.name = lambda stem, name=b.name: f"{prefix}{name(stem)}"  # type: ignore[method-assign, misc]
    for _ in range(first):
        b.input(1)
    x = b.input(2, 8)
    w1, w2 = b.weight(6, 8), b.weight(3, 6)
    assert w2.constant is not None
    w2.constant *= np.float32(scale)
    hidden = b.op("Relu", b.gemm(x, w1))
    w1.type = type(w1.type)(w1.type.dtype, w1.type.shape, layout)
    return _digested(b.graph(b.gemm(hidden, w2)))


def _computed(graph: Graph) -> list[bytes]:
    return [layer.outputs[0].digest for layer in graph.layers if layer.outputs[0]]


def test_names_do_not_matter() -> None:
    assert _computed(_net("a.")) == _computed(_net("b."))
    assert len(set(_computed(_net("a.")))) == 3


def test_equal_prefixes_meet_and_part_where_models_part() -> None:
    one, two = _computed(_net("a.")), _computed(_net("b.", scale=2.0))
    assert one[:2] == two[:2]
    assert one[2] != two[2]


def test_the_position_of_the_input_matters() -> None:
    assert _computed(_net("a."))[0] != _computed(_net("a.", first=1))[0]


def test_a_layout_changes_what_is_computed_but_not_the_weight() -> None:
    dense, sparse = _net("a."), _net("a.", layout="csr")
    weights = [g.layers[0].inputs[1] for g in (dense, sparse)]
    assert weights[0]
    assert weights[1]
    assert weights[0].digest == weights[1].digest
    assert _computed(dense)[0] != _computed(sparse)[0]


def test_attributes_and_results_count() -> None:
    def outputs(**attrs: float) -> list[bytes]:
        b = Build()
        values = b.ops("TopK", b.input(2, 5), k=2, axis=1, largest=1, sorted=1)
        clipped = b.op("Clip", values[0], min=0.0, max=attrs["max"])
        return [v.digest for v in (*values, clipped) if _digested(b.graph(*values, clipped))]

    six, seven = outputs(max=6.0), outputs(max=7.0)
    assert six[:2] == seven[:2]
    assert len({*six, *seven}) == 4


def test_absent_operands_hold_their_place() -> None:
    def digest_of(with_bias: bool) -> bytes:
        b = Build()
        w, vector, x = b.weight(4, 4), b.weight(4), b.input(4)
        rest = [vector] if with_bias else [None, vector]
        y = b.op("Gemm", x, w, *rest, **NO_ACTIVATION)
        return _computed(_digested(b.graph(y)))[0]

    assert digest_of(True) != digest_of(False)


def _foreign(prefix: str, factor: float) -> bytes:
    b = Build()
    x = b.input(2, 3)
    y = Value("y", x.type)
    node = helper.make_node("Einsum", [f"{prefix}x", f"{prefix}f"], [f"{prefix}y"], f"{prefix}n",
                            equation="ij,j->ij")  # fmt: skip
    infos = [helper.make_tensor_value_info(f"{prefix}{n}", 1, [2, 3]) for n in "xy"]
    weight = numpy_helper.from_array(np.full(3, factor, np.float32), f"{prefix}f")
    graph = helper.make_graph([node], f"{prefix}g", infos[:1], infos[1:], [weight])
    model = onnx.helper.make_model(graph, producer_name=prefix)
    layer = Layer("OnnxRuntime", "foreign", [x], [y], onnx_model=model.SerializeToString())
    return _computed(_digested(Graph("test", [x], [y], [layer])))[0]


def test_foreign_layers_meet_whatever_their_names() -> None:
    assert _foreign("a.", 2.0) == _foreign("b.", 2.0)
    assert _foreign("a.", 2.0) != _foreign("a.", 3.0)
