"""From layers of a compiled model to a segment that runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from coexec.kernels._kernels import Constant, Operand, Place, Segment, SegmentStep, Step, TensorType
from coexec.kernels.program.arena import Lifetime, plan_arena
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.protos import program_pb2

_ABSENT = -1
_NO_TYPE = TensorType("none", [])


@dataclass(frozen=True, slots=True)
class BuiltSegment:
    """A segment and what it reads and makes, as indices of the program's tensors."""

    segment: Segment
    inputs: list[int]
    outputs: list[int]
    steps: list[int]  # the layer of each step; layers that only rename memory have none


def interface(program: program_pb2.Program, layers: Iterable[int]) -> tuple[list[int], list[int]]:
    """What the given layers read from outside (constants apart) and what others need of them,
    each in order of first appearance."""
    inside = set(layers)
    made: dict[int, None] = {}
    read: dict[int, None] = {}
    for i in sorted(inside):
        for tensor in program.layers[i].inputs:
            if tensor != _ABSENT and tensor not in made and not program.tensors[tensor].constant:
                read[tensor] = None
        made.update((tensor, None) for tensor in program.layers[i].outputs if tensor != _ABSENT)
    needed = set(program.outputs)
    for i, layer in enumerate(program.layers):
        if i not in inside:
            needed.update(layer.inputs)
    return list(read), [tensor for tensor in made if tensor in needed]


def attributes(layer: program_pb2.Layer) -> dict[str, int | float | str | list[int] | list[float]]:
    """A layer's attributes as plain Python values."""
    values: dict[str, int | float | str | list[int] | list[float]] = {}
    for name, attr in layer.attrs.items():
        kind = attr.WhichOneof("value")
        if kind == "ints":
            values[name] = list(attr.ints.values)
        elif kind == "floats":
            values[name] = list(attr.floats.values)
        else:
            values[name] = getattr(attr, kind or "s")
    return values


def build_segment(
    model: CompiledModel,
    layers: Sequence[int],
    constants: Callable[[int], Constant],
    outputs: Sequence[int] | None = None,
) -> BuiltSegment:
    """Make the steps of `layers` (ascending, all native) and lay out their memory.

    constants gives the Constant of a constant tensor; a weight store passes its own so that
    models share. outputs: the tensors to return, when not just those this program needs.
    Raises UnsupportedLayerError when a layer has no kernel.
    """
    inputs, needed = interface(model.program, layers)
    outputs = needed if outputs is None else list(outputs)
    layout = _Layout(model, layers, inputs, outputs)
    held: dict[int, Constant] = {}
    steps: dict[int, Step] = {}
    for i in layers:
        for tensor in model.program.layers[i].inputs:
            if tensor != _ABSENT and model.program.tensors[tensor].constant:
                held.setdefault(tensor, constants(tensor))
        if not layout.renames(i):
            steps[i] = _make_step(model, i, held)
    places, arena_bytes = layout.place(steps)
    order = list(held)

    def operand(tensor: int) -> Operand:
        if tensor == _ABSENT:
            return Operand(Place.NONE)
        if tensor in held:
            return Operand(Place.CONSTANT, order.index(tensor))
        return places[tensor]

    made = [
        SegmentStep(
            model.program.layers[i].name,
            step,
            [operand(tensor) for tensor in model.program.layers[i].inputs],
            [operand(tensor) for tensor in model.program.layers[i].outputs],
        )
        for i, step in steps.items()
    ]
    segment = Segment(
        [model.type_of(tensor) for tensor in inputs],
        [model.type_of(tensor) for tensor in outputs],
        list(held.values()),
        made,
        arena_bytes,
    )
    return BuiltSegment(segment, inputs, outputs, list(steps))


def _make_step(model: CompiledModel, i: int, held: dict[int, Constant]) -> Step:
    layer = model.program.layers[i]

    def types(tensors: Iterable[int]) -> list[TensorType]:
        return [_NO_TYPE if tensor == _ABSENT else model.type_of(tensor) for tensor in tensors]

    return Step(
        layer.op,
        attributes(layer),
        types(layer.inputs),
        types(layer.outputs),
        [held.get(tensor) for tensor in layer.inputs],
    )


class _Layout:
    """Groups tensors that share memory (through Reshape, or in place) and places each group."""

    def __init__(
        self, model: CompiledModel, layers: Sequence[int], inputs: list[int], outputs: list[int]
    ) -> None:
        self._program = model.program
        self._layers = layers
        self._nbytes = {t: model.type_of(t).nbytes for t in self._tensors()}
        self._inputs = {tensor: i for i, tensor in enumerate(inputs)}
        self._outputs = {tensor: i for i, tensor in enumerate(outputs)}
        self._group: dict[int, int] = {}  # tensor -> the tensor that names its group
        self._group_output: dict[int, int] = {}  # group -> the segment output it lies in
        self._merged: dict[int, int] = {}  # group -> the group it is written over
        self._renaming: set[int] = set()
        for i in layers:
            assert self._program.layers[i].op != ONNX_RUNTIME
            self._place_outputs(i)

    def renames(self, layer: int) -> bool:
        """Whether the layer needs no step: its output is its input's memory."""
        return layer in self._renaming

    def place(self, steps: dict[int, Step]) -> tuple[dict[int, Operand], int]:
        """The place of every tensor that is not a constant, and the arena's bytes."""
        life = self._lifetimes()
        self._merge_in_place(steps, life)
        in_arena = [
            group for group in life if group not in self._group_output and group not in self._inputs
        ]
        offsets, arena_bytes = plan_arena([life[group] for group in in_arena])
        at = dict(zip(in_arena, offsets, strict=True))
        places = {}
        for tensor, group in self._group.items():
            root = self._root(group)
            if root in self._inputs:
                places[tensor] = Operand(Place.INPUT, self._inputs[root])
            elif root in self._group_output:
                places[tensor] = Operand(Place.OUTPUT, self._group_output[root])
            else:
                places[tensor] = Operand(Place.ARENA, at[root])
        places.update((t, Operand(Place.INPUT, i)) for t, i in self._inputs.items())
        return places, arena_bytes

    def _tensors(self) -> set[int]:
        found: set[int] = set()
        for i in self._layers:
            found.update(self._program.layers[i].inputs, self._program.layers[i].outputs)
        return found - {_ABSENT}

    def _place_outputs(self, i: int) -> None:
        layer = self._program.layers[i]
        if layer.op == "Reshape" and self._rename(layer.inputs[0], layer.outputs[0]):
            self._renaming.add(i)
            return
        for tensor in layer.outputs:
            if tensor != _ABSENT:
                self._group[tensor] = tensor
                if tensor in self._outputs:
                    self._group_output[tensor] = self._outputs[tensor]

    def _rename(self, source: int, target: int) -> bool:
        """Let target lie where source lies, unless one is a constant or both must lie apart."""
        if self._program.tensors[source].constant:
            return False
        group = self._group.get(source, source)
        if target in self._outputs:
            if group in self._inputs or group in self._group_output:
                return False
            self._group_output[group] = self._outputs[target]
        self._group[target] = group
        self._group.setdefault(source, group)
        return True

    def _lifetimes(self) -> dict[int, Lifetime]:
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for at, i in enumerate(self._layers):
            layer = self._program.layers[i]
            for tensor in (*layer.inputs, *layer.outputs):
                group = self._group.get(tensor)
                if group is not None:
                    first.setdefault(group, at)
                    last[group] = at
        return {
            group: Lifetime(self._nbytes[group], start, last[group])
            for group, start in first.items()
        }

    def _merge_in_place(self, steps: dict[int, Step], life: dict[int, Lifetime]) -> None:
        """Let a step write over an input that nobody reads afterwards."""
        position = {i: at for at, i in enumerate(self._layers)}
        for i, step in steps.items():
            layer = self._program.layers[i]
            target = layer.outputs[0]
            if target == _ABSENT or self._group[target] in self._group_output:
                continue
            groups = [self._root(self._group.get(source, _ABSENT)) for source in layer.inputs]
            for k, group in enumerate(groups):
                if (
                    group in life
                    and group not in self._inputs
                    and group not in self._group_output
                    and life[group].last == position[i]
                    and life[group].nbytes == self._nbytes[target]
                    and groups.count(group) == 1
                    and step.in_place(k)
                ):
                    merged = life.pop(self._group[target])
                    life[group] = Lifetime(merged.nbytes, life[group].first, merged.last)
                    self._merged[self._group[target]] = group
                    break

    def _root(self, group: int) -> int:
        while group in self._merged:
            group = self._merged[group]
        return group
