"""Where the tensors of a segment lie: which share memory, and at what place in the arena."""

import itertools
import math
from collections.abc import Sequence

from coexec.kernels._kernels import Operand, Place, Step
from coexec.kernels.program.arena import ALIGN, Lifetime, plan_arena
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.protos import program_pb2

ABSENT = -1  # an operand that is not there


class Layout:
    """Groups tensors that share memory and places each group.

    A Reshape shares its operand's memory, a step may write over an operand that nobody reads
    afterwards, and what a Concat puts together in one piece of memory is made in its place."""

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
        # group -> the whole that it lies in, and from which byte on
        self._parts: dict[int, tuple[int, int]] = {}
        self._renaming: set[int] = set()
        for i in layers:
            assert self._program.layers[i].op != ONNX_RUNTIME
            self._place_outputs(i)

    def renames(self, layer: int) -> bool:
        """Whether the layer needs no step: its output is its inputs' memory."""
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
            root, byte = self._root(group)
            if root in self._inputs:
                places[tensor] = Operand(Place.INPUT, self._inputs[root])
            elif root in self._group_output:
                places[tensor] = Operand(Place.OUTPUT, self._group_output[root])
            else:
                places[tensor] = Operand(Place.ARENA, at[root] + byte)
        places.update((t, Operand(Place.INPUT, i)) for t, i in self._inputs.items())
        return places, arena_bytes

    def _tensors(self) -> set[int]:
        found: set[int] = set()
        for i in self._layers:
            found.update(self._program.layers[i].inputs, self._program.layers[i].outputs)
        return found - {ABSENT}

    def _place_outputs(self, i: int) -> None:
        layer = self._program.layers[i]
        if layer.op == "Reshape" and self._rename(layer.inputs[0], layer.outputs[0]):
            self._renaming.add(i)
            return
        for tensor in layer.outputs:
            if tensor != ABSENT:
                self._group[tensor] = tensor
                if tensor in self._outputs:
                    self._group_output[tensor] = self._outputs[tensor]
        if layer.op == "Concat" and self._join(layer):
            self._renaming.add(i)

    def _join(self, layer: program_pb2.Layer) -> bool:
        """Let a Concat's parts lie in the whole, one after the other, unless one must not."""
        whole = layer.outputs[0]
        before = self._program.tensors[whole].type.shape[: layer.attrs["axis"].i]
        groups = [self._group.get(tensor, ABSENT) for tensor in layer.inputs]
        ends = list(itertools.accumulate(self._nbytes[tensor] for tensor in layer.inputs))
        if (
            whole in self._outputs
            or math.prod(before) != 1
            or ends[-1] != self._nbytes[whole]
            or any(end % ALIGN for end in ends[:-1])
            or len(set(groups)) != len(groups)
            or not all(self._may_lie_in_a_whole(group) for group in groups)
        ):
            return False
        self._parts.update(
            (group, (whole, end - self._nbytes[group]))
            for group, end in zip(groups, ends, strict=True)
        )
        return True

    def _rename(self, source: int, target: int) -> bool:
        """Let target lie where source lies, unless one is a constant or both must lie apart."""
        if self._program.tensors[source].constant:
            return False
        group = self._group.get(source, source)
        if target in self._outputs:
            if group in self._inputs or group in self._group_output or self._is_joined(group):
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
        for group in first.keys() & self._parts.keys():
            whole, _ = self._root(group)
            first[whole] = min(first[whole], first.pop(group))
            last[whole] = max(last[whole], last[group])
        return {
            group: Lifetime(self._nbytes[group], start, last[group])
            for group, start in first.items()
        }

    def _may_lie_in_a_whole(self, group: int) -> bool:
        elsewhere = (self._inputs, self._group_output, self._parts)
        return group != ABSENT and not any(group in places for places in elsewhere)

    def _is_joined(self, group: int) -> bool:
        return group in self._parts or any(group == whole for whole, _ in self._parts.values())

    def _merge_in_place(self, steps: dict[int, Step], life: dict[int, Lifetime]) -> None:
        """Let a step write over an input that nobody reads afterwards."""
        position = {i: at for at, i in enumerate(self._layers)}
        for i, step in steps.items():
            layer = self._program.layers[i]
            target = layer.outputs[0]
            if target == ABSENT or self._group[target] in self._group_output:
                continue
            if self._group[target] in self._parts:
                continue
            groups = [self._root(self._group.get(source, ABSENT))[0] for source in layer.inputs]
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

    def _root(self, group: int) -> tuple[int, int]:
        """The group whose memory a group lies in, and from which byte on."""
        byte = 0
        while True:
            if group in self._parts:
                group, at = self._parts[group]
                byte += at
            elif group in self._merged:
                group = self._merged[group]
            else:
                return group, byte
