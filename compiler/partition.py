"""What the kernels run and what ONNX Runtime runs.

Nodes without a kernel are gathered into subgraphs as large as can be without a cycle: going
through the nodes in order, a native node starts a new stage when it reads what ONNX Runtime
makes, and the foreign nodes of one stage that touch each other become one layer. A value whose
shape is known only at run time, or that is no tensor, never leaves its subgraph except as a
result of the model: the native nodes in its way are given to ONNX Runtime too."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx

from coexec.compiler.ir.graph import Graph, Layer, Value
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.island import Island, flops_of, serialized
from coexec.compiler.native import Kernels
from coexec.compiler.onnx_import.importer import Imported, Item
from coexec.compiler.onnx_import.signature import Signature
from coexec.compiler.onnx_import.types import is_crossable


@dataclass(slots=True)
class _Plan:
    items: list[Item]
    reason: list[str]  # "" where the item is native
    producer: dict[int, int]  # id of a value -> the item that makes it
    stage: list[int] = field(default_factory=list)

    def sources(self, imported: Imported, i: int) -> list[int]:
        """The items that item i reads from."""
        values = (imported.values[name] for name in self.items[i].reads)
        return [self.producer[id(v)] for v in values if id(v) in self.producer]


def partition(imported: Imported, kernels: Kernels, name: str) -> Graph | None:
    """Layers in an order that runs, one "OnnxRuntime" layer per subgraph left to it. None when
    no layer is native: then the model is better run whole."""
    reasons = [item.reason or _refusal(item, kernels) for item in imported.items]
    producer = {
        id(value): i for i, item in enumerate(imported.items) for value in item.outputs.values()
    }
    plan = _Plan(imported.items, reasons, producer)
    _give_away_movement(plan, imported)
    _assign_stages(plan, imported)
    if imported.items and all(plan.reason):
        return None
    layers = _layers(plan, imported)
    graph = Graph(name, imported.inputs, _results(imported, layers, kernels), layers)
    _name_apart(graph)
    return graph


def whole_model(model: onnx.ModelProto, signature: Signature, name: str, reason: str) -> Graph:
    """The model as one layer, for ONNX Runtime, its dynamic dims left dynamic. Raises
    CompileError when it is too large for one message."""
    inputs = [Value(spec.name, spec.type) for spec in signature.inputs]
    outputs = [Value(spec.name, spec.type) for spec in signature.outputs]
    layer = Layer(
        ONNX_RUNTIME,
        name,
        list(inputs),
        list(outputs),
        onnx_model=serialized(model, name),
        why_not_native=reason,
    )
    return Graph(name, inputs, outputs, [layer])


def _refusal(item: Item, kernels: Kernels) -> str:
    for layer in item.layers:
        problem = kernels.why_not(layer)
        if problem:
            return problem
    return ""


def _give_away_movement(plan: _Plan, imported: Imported) -> None:
    """Native nodes that only move data from ONNX Runtime's nodes to ONNX Runtime's nodes join
    them: one subgraph runs faster than two with a copy in between."""
    sources = [plan.sources(imported, i) for i in range(len(plan.items))]
    readers: list[list[int]] = [[] for _ in plan.items]
    for i, before in enumerate(sources):
        for j in before:
            readers[j].append(i)
    returned = {plan.producer.get(id(imported.values[name])) for name in imported.outputs}
    moving = {
        i
        for i, item in enumerate(plan.items)
        if not plan.reason[i] and sources[i] and i not in returned and flops_of(item) == 0
    }
    changed = True
    while changed:
        kept = {
            i
            for i in moving
            if all(plan.reason[j] or j in moving for j in (*sources[i], *readers[i]))
        }
        changed, moving = kept != moving, kept
    for i in moving:
        plan.reason[i] = "it only moves data between nodes that ONNX Runtime runs"


def _assign_stages(plan: _Plan, imported: Imported) -> None:
    """Gives items away to ONNX Runtime until no value that must not cross does."""
    while True:
        plan.stage = []
        for i in range(len(plan.items)):
            before = plan.sources(imported, i)
            native = not plan.reason[i]
            plan.stage.append(
                max((plan.stage[j] + (native and bool(plan.reason[j])) for j in before), default=0)
            )
        crossing = _crossing(plan, imported)
        if crossing is None:
            return
        _give_away(plan, imported, *crossing)


def _crossing(plan: _Plan, imported: Imported) -> tuple[int, int, str] | None:
    """A maker, a reader in another stage, and the value that must not pass between them."""
    for i, item in enumerate(plan.items):
        for name in item.reads:
            j = plan.producer.get(id(imported.values[name]))
            if j is None or is_crossable(imported.types[name]):
                continue
            if not plan.reason[i] or plan.stage[j] != plan.stage[i]:
                return j, i, name
    return None


def _give_away(plan: _Plan, imported: Imported, maker: int, reader: int, name: str) -> None:
    """Every native ancestor of the reader that runs after the maker's stage began."""
    waiting, seen = [reader], {reader}
    while waiting:
        i = waiting.pop()
        if not plan.reason[i] and (i == reader or plan.stage[i] > plan.stage[maker]):
            plan.reason[i] = f"it runs between two uses of {name}, which only ONNX Runtime can hold"
        for j in plan.sources(imported, i):
            if j not in seen:
                seen.add(j)
                waiting.append(j)


def _layers(plan: _Plan, imported: Imported) -> list[Layer]:
    """By stage, native layers first; inside a stage in the model's order."""
    order = sorted(range(len(plan.items)), key=lambda i: (plan.stage[i], bool(plan.reason[i]), i))
    islands = _islands(plan, imported)
    layers: list[Layer] = []
    done: set[int] = set()
    for i in order:
        if not plan.reason[i]:
            layers += plan.items[i].layers
        elif islands[i][0] not in done:
            done.add(islands[i][0])
            layers.append(Island(imported, plan.items, plan.reason, islands[i]).layer(len(done)))
    return layers


def _islands(plan: _Plan, imported: Imported) -> dict[int, list[int]]:
    """Foreign item -> the items of its subgraph, in order."""
    members: dict[int, list[int]] = {}
    for i in range(len(plan.items)):
        if not plan.reason[i]:
            continue
        own = members[i] = [i]
        for j in plan.sources(imported, i):
            if plan.reason[j] and plan.stage[j] == plan.stage[i] and members[j] is not own:
                own += members[j]
                for k in members[j]:
                    members[k] = own
    for own in members.values():
        own.sort()
    return members


def _results(imported: Imported, layers: list[Layer], kernels: Kernels) -> list[Value]:
    """The model's outputs, each a value of its own that a layer makes, under its own name."""
    made = {id(v) for layer in layers for v in layer.outputs if v is not None}
    results: list[Value] = []
    for name in imported.outputs:
        value = imported.values[name]
        if id(value) in made and value not in results:
            value.name = name
        else:
            value = _copied(imported, value, name, layers, kernels)
        results.append(value)
    return results


def _copied(
    imported: Imported, source: Value, name: str, layers: list[Layer], kernels: Kernels
) -> Value:
    target = Value(name, source.type)
    layer = Layer("Reshape", f"{name}/copy", [source], [target], {"shape": list(source.type.shape)})
    reason = kernels.why_not(layer)
    if reason:
        tensor = imported.tensor(name)
        node = onnx.helper.make_node("Identity", ["source"], ["copy"])
        info = [onnx.ValueInfoProto(name="source", type=imported.types[name])]
        inputs = [] if tensor is not None else [source]
        held = []
        if tensor is not None:
            held = [onnx.TensorProto.FromString(tensor.SerializeToString())]
            held[0].name = "source"
        outputs = [onnx.ValueInfoProto(name="copy", type=imported.types[name])]
        model = imported.frame.model([node], info if inputs else [], outputs, held)
        layer = Layer(
            ONNX_RUNTIME,
            layer.name,
            list(inputs),
            [target],
            {"flops": 0},
            onnx_model=serialized(model, layer.name),
            why_not_native=reason,
        )
    layers.append(layer)
    return target


def _name_apart(graph: Graph) -> None:
    """Gives every layer and every value a name of its own; inputs and outputs keep theirs."""
    layer_names: set[str] = set()
    for layer in graph.layers:
        layer.name = _free(layer.name, layer_names)
    fixed = {*graph.inputs, *graph.outputs}
    names = {value.name for value in fixed}
    inner = (v for layer in graph.layers for v in (*layer.inputs, *layer.outputs) if v is not None)
    for value in dict.fromkeys(inner):
        if value not in fixed:
            value.name = _free(value.name, names)


def _free(name: str, taken: set[str]) -> str:
    """The name, or one made from it, that is not taken; it is taken from now on."""
    free, count = name, 1
    while free in taken:
        count += 1
        free = f"{name}_{count}"
    taken.add(free)
    return free
