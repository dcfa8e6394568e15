"""A program in the engine: its model, the facts the planner needs, and its segments' makers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from coexec.kernels.program import format
from coexec.kernels.program.build import build_segment
from coexec.kernels.program.format import CompiledModel
from coexec.protos import engine_pb2
from coexec.scheduler import _core
from coexec.scheduler.engine.external import ExternalLayer
from coexec.scheduler.engine.weights import WeightStore
from coexec.scheduler.reuse.facts import (
    ProgramFacts,
    expected_us,
    facts_of,
    merge_equal_layers,
    value_digests,
)
from coexec.scheduler.reuse.planner import PlannedSegment


@dataclass(slots=True)
class LiveSegment:
    """A segment in the core. inputs, outputs: digests of the values at its places."""

    planned: PlannedSegment
    core: _core.QueuedSegment
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    layer_names: tuple[str, ...]
    step_layers: tuple[bytes, ...]  # the layer of each step


@dataclass(slots=True)
class LoadedProgram:
    request: engine_pb2.LoadProgram
    model: CompiledModel
    facts: ProgramFacts
    digests: list[bytes]  # by tensor
    layer_at: dict[bytes, int] = field(default_factory=dict)  # by key
    core: _core.Program | None = None
    segments: tuple[LiveSegment, ...] = ()

    @classmethod
    def read(cls, request: engine_pb2.LoadProgram) -> LoadedProgram:
        """Raises FormatError."""
        model = format.load(Path(request.path))
        merge_equal_layers(model.program)
        facts = facts_of(request.program_id, model.program)
        digests = value_digests(request.program_id, model.program)
        at = {layer.key: i for i, layer in enumerate(facts.layers)}
        return cls(request, model, facts, digests, at)

    @property
    def name(self) -> str:
        return f"{self.request.model}/{self.request.version}"

    def make_segment(
        self,
        planned: PlannedSegment,
        engine: _core.Engine,
        weights: WeightStore,
        known_us: dict[bytes, float],
    ) -> LiveSegment:
        """Pack the segment's weights and hand it to the core. known_us: what layers cost when
        they ran. Raises UnsupportedLayerError, RunError, FormatError."""
        layers = sorted(self.layer_at[key] for key in planned.layers)
        names = tuple(self.model.program.layers[i].name for i in layers)

        def cost_us(i: int) -> float:
            layer = self.model.program.layers[i]
            return known_us.get(self.facts.layers[i].key, expected_us(layer))

        if not planned.native:
            # Only now: ONNX Runtime takes long to import, and a restarted engine is waited for.
            from coexec.kernels.program.onnx_layer import OnnxLayer

            layer = self.model.program.layers[layers[0]]
            core = engine.external_segment(
                planned.digest,
                self.request.model,
                layer.name,
                ExternalLayer(OnnxLayer(layer)),
                cost_us(layers[0]),
            )
            inputs = tuple(self.digests[i] for i in layer.inputs)
            outputs = tuple(self.digests[i] for i in layer.outputs)
            return LiveSegment(planned, core, inputs, outputs, names, planned.layers)
        tensor_of = {digest: i for i, digest in enumerate(self.digests)}
        built = build_segment(
            self.model,
            layers,
            lambda tensor: weights.constant(self.facts.id, self.model, tensor),
            [tensor_of[digest] for digest in planned.outputs],
        )
        step_names = [self.model.program.layers[i].name for i in built.steps]
        core = engine.native_segment(
            planned.digest,
            self.request.model,
            step_names,
            built.segment,
            [cost_us(i) for i in built.steps],
        )
        inputs = tuple(self.digests[i] for i in built.inputs)
        steps = tuple(self.facts.layers[i].key for i in built.steps)
        return LiveSegment(planned, core, inputs, planned.outputs, names, steps)

    def make_program(
        self, segments: tuple[LiveSegment, ...], previous: _core.Program | None
    ) -> _core.Program:
        """The program as a graph of segments. Raises ValueError when a client would have to
        send or get what is no tensor."""
        tensors = self.model.program.tensors
        for i in (*self.model.program.inputs, *self.model.program.outputs):
            if tensors[i].type.dtype == "opaque":
                raise ValueError(
                    f"model {self.request.model}: {tensors[i].name!r} is a sequence, map or "
                    "optional; only tensors can be sent"
                )
        source = {digest: (-1, place) for place, digest in enumerate(self.facts.inputs)}
        uses = []
        for at, segment in enumerate(segments):
            uses.append((segment.core, [source[digest] for digest in segment.inputs]))
            source.update((digest, (at, place)) for place, digest in enumerate(segment.outputs))
        kinds = [tensors[i].type for i in self.model.program.inputs]
        return _core.Program(
            self.request.program_id,
            self.request.model,
            self.request.version,
            self.request.objective_us,
            self.request.queue_len_max,
            [(kind.dtype, list(kind.shape)) for kind in kinds],
            uses,
            [source[digest] for digest in self.facts.outputs],
            previous,
        )
