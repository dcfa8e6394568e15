"""Subgraphs on their way to models of their own, for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from coexec.compiler.errors import CompileError
from coexec.compiler.ir.graph import Layer, Value
from coexec.compiler.ir.ops import BY_NAME, ONNX_RUNTIME
from coexec.compiler.onnx_import.importer import Imported, Item
from coexec.compiler.onnx_import.read import MODEL_BYTES_MAX


class Island:
    """One subgraph on its way to a model of its own."""

    def __init__(
        self, imported: Imported, items: Sequence[Item], reasons: Sequence[str], members: list[int]
    ) -> None:
        """members: of `items`, in order. reasons: why each item is not native."""
        self._imported = imported
        self._items = items
        self._reasons = reasons
        self._members = members
        self._inside = {
            id(v): name for i in members for name, v in items[i].outputs.items()
        }  # value -> the name it is made under
        self._inputs: dict[str, Value] = {}
        self._tensors: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []

    def layer(self, number: int) -> Layer:
        ready: set[str] = set()
        for i in self._members:
            item = self._items[i]
            for name in item.reads:
                if name not in ready:
                    ready.add(name)
                    self._bring_in(name)
            self._nodes.append(item.node)
            ready.update(item.node.output)
        outputs = self._outputs()
        name = f"onnxruntime_{number}"
        return Layer(
            ONNX_RUNTIME,
            name,
            list(self._inputs.values()),
            [self._imported.values[output] for output in outputs],
            {"flops": sum(flops_of(self._items[i]) for i in self._members)},
            onnx_model=serialized(self._model(outputs), name),
            why_not_native="\n".join(
                f"{self._items[i].name} ({self._items[i].node.op_type}): {self._reasons[i]}"
                for i in self._members
            ),
        )

    def _bring_in(self, name: str) -> None:
        """Makes a name that a member reads known inside: as a constant, as another name of a
        value made inside, or as an input."""
        value = self._imported.values[name]
        tensor = self._imported.tensor(name)
        if tensor is not None:
            self._tensors[name] = tensor
        elif id(value) in self._inside:
            made_as = self._inside[id(value)]
            self._nodes.append(onnx.helper.make_node("Identity", [made_as], [name]))
        else:
            self._inputs[name] = value

    def _outputs(self) -> list[str]:
        """Names of what others read, or the model returns."""
        members = set(self._members)
        wanted = {id(self._imported.values[name]) for name in self._imported.outputs}
        for i, item in enumerate(self._items):
            if i not in members:
                wanted |= {id(self._imported.values[name]) for name in item.reads}
        return [name for key, name in self._inside.items() if key in wanted]

    def _model(self, outputs: list[str]) -> onnx.ModelProto:
        def info(name: str) -> onnx.ValueInfoProto:
            return onnx.ValueInfoProto(name=name, type=self._imported.types[name])

        return self._imported.frame.model(
            self._nodes, map(info, self._inputs), map(info, outputs), self._tensors.values()
        )


def flops_of(item: Item) -> int:
    """What its layers would cost; for an op the IR does not know, one per result element."""
    if not item.layers:
        types = [value.type for value in item.outputs.values()]
        return sum(type.elements for type in types if type.is_static)
    return sum(
        BY_NAME[layer.op]
        .cost_of([None if v is None else v.type for v in layer.inputs], layer.attrs)
        .flops
        for layer in item.layers
    )


def serialized(model: onnx.ModelProto, name: str) -> bytes:
    """The model as one message. Raises CompileError, naming the layer, when it is too large."""
    try:
        data: bytes = model.SerializeToString()
    except Exception as error:  # protobuf's own, for messages past its limit
        raise CompileError(
            f"{name}: its ONNX Runtime part cannot be stored as one message ({error})"
        ) from None
    if len(data) > MODEL_BYTES_MAX:
        raise CompileError(f"{name}: its ONNX Runtime part takes {len(data)} bytes")
    return data
