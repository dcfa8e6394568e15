"""Small ONNX models, and what ONNX Runtime says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from coexec.compiler.ir import Graph, Layer
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.ir.verify import verify
from coexec.compiler.native import Kernels
from coexec.compiler.onnx_import import import_model, prepare, signature_of
from coexec.compiler.partition import partition

Array = npt.NDArray[Any]


class AllNative(Kernels):
    """Kernels that take every layer, so that converters are tested without them."""

    def why_not(self, layer: Layer) -> str:
        del layer
        return ""


@dataclass(slots=True)
class OneNode:
    """A model of one node. Operands: arrays, None for absent; those in `constants` (by position)
    are initializers, the others inputs."""

    op: str
    operands: Sequence[Array | None]
    attrs: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    constants: Sequence[int] = ()
    outputs: int | Sequence[str] = 1
    domain: str = ""

    def model(self) -> onnx.ModelProto:
        names = [f"x{i}" if a is not None else "" for i, a in enumerate(self.operands)]
        results = (
            [f"y{i}" for i in range(self.outputs)]
            if isinstance(self.outputs, int)
            else list(self.outputs)
        )
        node = onnx.helper.make_node(self.op, names, results, domain=self.domain, **self.attrs)
        held = [
            onnx.numpy_helper.from_array(a, f"x{i}")
            for i, a in enumerate(self.operands)
            if a is not None and i in self.constants
        ]
        inputs = [
            onnx.helper.make_tensor_value_info(
                f"x{i}", onnx.helper.np_dtype_to_tensor_dtype(a.dtype), list(a.shape)
            )
            for i, a in enumerate(self.operands)
            if a is not None and i not in self.constants
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in results if name]
        graph = onnx.helper.make_graph([node], "one", inputs, outputs, initializer=held)
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(onnx.helper.make_opsetid(self.domain, 1))
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return onnx.shape_inference.infer_shapes(model)

    def feed(self) -> dict[str, Array]:
        return {
            f"x{i}": a
            for i, a in enumerate(self.operands)
            if a is not None and i not in self.constants
        }


def graph_of(model: onnx.ModelProto) -> Graph | None:
    """The model's layers, converted as far as converters go."""
    shapes = signature_of(model).bind("model", {})
    graph = partition(import_model(prepare(model, shapes)), AllNative(), "model")
    if graph is not None:
        verify(graph, "imported")
    return graph


def run_by_onnxruntime(model: onnx.ModelProto, feed: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(array) for array in session.run(None, feed)]


Check = Callable[..., Graph]


@pytest.fixture(scope="session")
def same() -> Check:
    """Checks that a one-node model becomes layers that compute what ONNX Runtime does; returns
    the graph. foreign: the text of the refusal, when the node must stay ONNX's."""

    def check(case: OneNode, *, foreign: str = "", rtol: float = 1e-4, atol: float = 1e-5) -> Graph:
        model, feed = case.model(), case.feed()
        want = run_by_onnxruntime(model, feed)
        imported = import_model(prepare(model, signature_of(model).bind("model", {})))
        reasons = [item.reason for item in imported.items if item.reason]
        if foreign:
            assert any(foreign in reason for reason in reasons), reasons
            return Graph("model", [], [], [])
        assert not reasons
        graph = partition(imported, AllNative(), "model")
        assert graph is not None
        verify(graph, "imported")
        assert all(layer.op != ONNX_RUNTIME for layer in graph.layers)
        got = interpret(graph, [feed[value.name] for value in graph.inputs])
        for g, w in zip(got, want, strict=True):
            assert g.dtype == w.dtype
            assert g.shape == w.shape
            np.testing.assert_allclose(g, w, rtol=rtol, atol=atol)
        return graph

    return check
