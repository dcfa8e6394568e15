"""What every graph must satisfy, stage by stage. A check yields what it finds wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from coexec.compiler.ir import ops
from coexec.compiler.ir.graph import Graph, IrError, Layer, TensorType, Value, dtype_name

Check = Callable[[Graph], Iterator[str]]


def _values(graph: Graph) -> dict[Value, None]:
    """Every value the graph mentions, once, in a stable order."""
    found: dict[Value, None] = dict.fromkeys(graph.inputs)
    for layer in graph.layers:
        found.update(dict.fromkeys(v for v in (*layer.inputs, *layer.outputs) if v is not None))
    found.update(dict.fromkeys(graph.outputs))
    return found


def _native(graph: Graph) -> Iterator[Layer]:
    return (layer for layer in graph.layers if layer.op in ops.BY_NAME)


def _ops_are_known(graph: Graph) -> Iterator[str]:
    for layer in graph.layers:
        if layer.op not in ops.BY_NAME and layer.op != ops.ONNX_RUNTIME:
            yield f"{layer.name}: no op {layer.op!r}"
        if bool(layer.onnx_model) != (layer.op == ops.ONNX_RUNTIME):
            yield f"{layer.name}: {layer.op} {'has' if layer.onnx_model else 'lacks'} an onnx_model"


def _order_runs(graph: Graph) -> Iterator[str]:
    ready = set(graph.inputs)
    for layer in graph.layers:
        for value in layer.inputs:
            if value is not None and value.constant is None and value not in ready:
                yield f"{layer.name} reads {value.name} before it is there"
        ready.update(v for v in layer.outputs if v is not None)
    for value in graph.outputs:
        if value not in ready and value.constant is None:
            yield f"the output {value.name} is never computed"


def _made_once(graph: Graph) -> Iterator[str]:
    made = Counter(graph.inputs)
    made.update(v for layer in graph.layers for v in layer.outputs if v is not None)
    for value, count in made.items():
        if count > 1:
            yield f"{value.name} is made {count} times"
        if value.constant is not None:
            yield f"{value.name} is made, yet holds a constant"


def _names_are_unique(graph: Graph) -> Iterator[str]:
    for what, names in (
        ("values", Counter(v.name for v in _values(graph))),
        ("layers", Counter(layer.name for layer in graph.layers)),
    ):
        for name, count in names.items():
            if count > 1:
                yield f"{count} {what} are named {name!r}"


def _constants_match_their_types(graph: Graph) -> Iterator[str]:
    for value in _values(graph):
        array = value.constant
        if array is None:
            continue
        holds = TensorType(dtype_name(array.dtype), array.shape, value.type.layout)
        if holds != value.type:
            yield f"{value.name} is {value.type} but holds {holds}"


def _layouts_are_on_weights(graph: Graph) -> Iterator[str]:
    for value in _values(graph):
        if value.type.layout != "dense" and value.constant is None:
            yield f"{value.name} is computed, so it must be dense, not {value.type.layout}"


def _types_follow(graph: Graph) -> Iterator[str]:
    """Attributes complete, operands fit, results as inferred."""
    for layer in _native(graph):
        types = [None if v is None else v.type for v in layer.inputs]
        try:
            inferred = ops.BY_NAME[layer.op].infer_types(types, layer.attrs)
        except IrError as error:
            yield f"{layer.name}: {error}"
            continue
        if len(layer.outputs) > len(inferred):
            yield f"{layer.name}: {len(layer.outputs)} results of {len(inferred)}"
        for value, expected in zip(layer.outputs, inferred, strict=False):
            if value is not None and value.type != expected:
                yield f"{layer.name}: {value.name} is {value.type}, inferred {expected}"


def _nothing_is_unreachable(graph: Graph) -> Iterator[str]:
    needed = set(graph.outputs)
    for layer in reversed(graph.layers):
        if needed.isdisjoint(layer.outputs):
            yield f"{layer.name}: nobody needs what it computes"
        needed.update(v for v in layer.inputs if v is not None)


def _digests_are_set(graph: Graph) -> Iterator[str]:
    for value in _values(graph):
        if not value.digest:
            yield f"{value.name} has no digest"


_ALWAYS: list[tuple[str, Check]] = [
    ("ops are known", _ops_are_known),
    ("layers are in an order that runs", _order_runs),
    ("every value is made once", _made_once),
    ("names are unique", _names_are_unique),
    ("constants match their types", _constants_match_their_types),
    ("sparse layouts are on constants only", _layouts_are_on_weights),
    ("types follow from the operands", _types_follow),
]
_REWRITTEN: list[tuple[str, Check]] = [
    *_ALWAYS,
    ("nothing is unreachable", _nothing_is_unreachable),
]
STAGES: dict[str, list[tuple[str, Check]]] = {
    "imported": _ALWAYS,
    "rewritten": _REWRITTEN,
    "digested": [*_REWRITTEN, ("digests are set", _digests_are_set)],
}

_SHOWN_MAX = 5


def verify(graph: Graph, stage: str) -> None:
    """Raises IrError that lists what the graph violates of the stage's checks."""
    for what, check in STAGES[stage]:
        found = list(check(graph))
        if found:
            more = f" and {len(found) - _SHOWN_MAX} more" if len(found) > _SHOWN_MAX else ""
            shown = "; ".join(found[:_SHOWN_MAX])
            raise IrError(f"{graph.name}, {stage}: not so that {what}: {shown}{more}")
