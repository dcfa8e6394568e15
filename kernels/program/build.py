"""From layers of a compiled model to a segment that runs."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from coexec.kernels._kernels import Constant, Operand, Place, Segment, SegmentStep, Step, TensorType
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.layout import ABSENT, Layout
from coexec.protos import program_pb2

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
            if tensor != ABSENT and tensor not in made and not program.tensors[tensor].constant:
                read[tensor] = None
        made.update((tensor, None) for tensor in program.layers[i].outputs if tensor != ABSENT)
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
    layout = Layout(model, layers, inputs, outputs)
    held: dict[int, Constant] = {}
    steps: dict[int, Step] = {}
    for i in layers:
        for tensor in model.program.layers[i].inputs:
            if tensor != ABSENT and model.program.tensors[tensor].constant:
                held.setdefault(tensor, constants(tensor))
        if not layout.renames(i):
            steps[i] = _make_step(model, i, held)
    places, arena_bytes = layout.place(steps)
    order = list(held)

    def operand(tensor: int) -> Operand:
        if tensor == ABSENT:
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
        return [_NO_TYPE if tensor == ABSENT else model.type_of(tensor) for tensor in tensors]

    return Step(
        layer.op,
        attributes(layer),
        types(layer.inputs),
        types(layer.outputs),
        [held.get(tensor) for tensor in layer.inputs],
    )
