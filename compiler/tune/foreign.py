"""Runs of native layers handed to ONNX Runtime, and what it needs for each of them there."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from coexec.compiler.ir import Graph, Layer, Value
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.onnx_export import layer_of_node, to_onnx
from coexec.compiler.onnx_import.read import MODEL_BYTES_MAX
from coexec.compiler.program import cost
from coexec.compiler.tune.measure import a_while
from coexec.compiler.tune.trial import generated
from coexec.kernels.program.errors import RunError

# Layers begin ... end - 1 of a graph.
Span = tuple[int, int]


def native_spans(graph: Graph) -> list[Span]:
    """Runs of native layers, each as long as it can be."""
    spans: list[Span] = []
    for i, layer in enumerate(graph.layers):
        if layer.op == ONNX_RUNTIME:
            continue
        if spans and spans[-1][1] == i:
            spans[-1] = (spans[-1][0], i + 1)
        else:
            spans.append((i, i + 1))
    return spans


def interface(graph: Graph, span: Span) -> tuple[list[Value], list[Value]]:
    """What the layers read from outside, constants apart, and what others need of them."""
    inside = graph.layers[span[0] : span[1]]
    made = {v: None for layer in inside for v in layer.outputs if v is not None}
    read = {v: None for layer in inside for v in layer.inputs if v is not None}
    needed = set(graph.outputs)
    for layer in (*graph.layers[: span[0]], *graph.layers[span[1] :]):
        needed.update(v for v in layer.inputs if v is not None)
    inputs = [v for v in read if v not in made and v.constant is None]
    return inputs, [v for v in made if v in needed]


def handed_over(graph: Graph, spans: Sequence[Span], why: str) -> Graph:
    """A graph in which ONNX Runtime computes each of the spans, which hold native layers only.
    Shares its values with the given one. Raises RunError when a span is too large for it."""
    layers: list[Layer] = []
    at = 0
    for number, span in enumerate(spans, 1):
        layers += graph.layers[at : span[0]]
        layers.append(_foreign(graph, span, f"onnxruntime_tuned_{number}", why))
        at = span[1]
    return Graph(graph.name, graph.inputs, graph.outputs, [*layers, *graph.layers[at:]])


def _foreign(graph: Graph, span: Span, name: str, why: str) -> Layer:
    inside = graph.layers[span[0] : span[1]]
    inputs, outputs = interface(graph, span)
    return Layer(
        ONNX_RUNTIME,
        name,
        list(inputs),
        list(outputs),
        {"flops": sum(cost(layer)[0] for layer in inside)},
        onnx_model=_exported(inside, inputs, outputs),
        why_not_native=reasons(inside, why),
    )


def _exported(layers: Sequence[Layer], inputs: Sequence[Value], outputs: Sequence[Value]) -> bytes:
    """The layers as a model in one message."""
    constants = {v for layer in layers for v in layer.inputs if v and v.constant is not None}
    weight_bytes = sum(value.type.nbytes for value in constants)
    if weight_bytes > MODEL_BYTES_MAX:
        raise RunError(
            f"its weights take {weight_bytes} bytes; a message to ONNX Runtime holds at most "
            f"{MODEL_BYTES_MAX}"
        )
    data: bytes = to_onnx(layers, inputs, outputs).SerializeToString()
    return data


def reasons(layers: Sequence[Layer], why: str) -> str:
    """A line per layer, in the form that `inspect` shows."""
    return "\n".join(f"{layer.name} ({layer.op}): {why}" for layer in layers)


class Profiled:
    """Layers of a graph while ONNX Runtime computes the whole run of them on one thread, timed by
    its own profiler. What it fused counts for the layer it named the result after; what it does
    between layers, such as changing the order of channels, counts for none."""

    def __init__(self, graph: Graph, span: Span) -> None:
        """Raises RunError when the span is too large for ONNX Runtime, or an exception of its
        own when it refuses it."""
        inside = graph.layers[span[0] : span[1]]
        inputs, outputs = interface(graph, span)
        model = _exported(inside, inputs, outputs)
        self._layers = len(inside)
        self._folder = tempfile.TemporaryDirectory()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        rng = np.random.default_rng(0)
        names = [value.name for value in self._session.get_inputs()]
        arrays = [generated(value.type, rng) for value in inputs]
        self._feed = dict(zip(names, arrays, strict=True))

    def run(self) -> None:
        self._session.run(None, self._feed)

    def layer_us(self) -> list[list[float]]:
        """Each layer's microseconds, run by run. Ends the profile: nothing may follow."""
        profile: str = self._session.end_profiling()  # type: ignore[no-untyped-call]
        events = json.loads(Path(profile).read_text())
        self._folder.cleanup()
        return _by_layer(events, self._layers)


def profiled_us(graph: Graph, span: Span) -> list[float]:
    """The least microseconds of each layer of the span in a few runs of it. Raises what Profiled
    raises."""
    profiled = Profiled(graph, span)
    for _ in a_while():
        profiled.run()
    return [min(times) for times in profiled.layer_us()]


def _by_layer(events: list[dict[str, object]], layers: int) -> list[list[float]]:
    """Nodes run once in a run, in the same order each time."""
    nodes: dict[str, list[float]] = defaultdict(list)
    suffix = "_kernel_time"
    for event in events:
        name = str(event["name"])
        if event["cat"] == "Node" and name.endswith(suffix):
            nodes[name.removesuffix(suffix)].append(float(str(event["dur"])))
    runs = max(map(len, nodes.values()), default=1)
    times = [[0.0] * runs for _ in range(layers)]
    for name, durations in nodes.items():
        layer = layer_of_node(name)
        if layer is not None and layer < layers:
            for i, us in enumerate(durations):
                times[layer][i] += us
    return times
