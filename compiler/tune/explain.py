"""Why a layer of a compiled model runs the way it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coexec.compiler.errors import CompileError, some_of
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.tune.choice import Candidate
from coexec.protos import program_pb2


@dataclass(slots=True)
class Why:
    """inside: the layer that ONNX Runtime computes and this one is part of; "" otherwise. The
    candidates are then those of the whole model. reason: why it is there. excluded: why ways that
    would be candidates elsewhere are none here."""

    layer: str
    op: str
    inside: str = ""
    reason: str = ""
    taken: str = ""
    mode: str = ""
    candidates: list[Candidate] = field(default_factory=list)
    excluded: str = ""

    def lines(self) -> Iterator[str]:
        where = f", computed by ONNX Runtime in {self.inside}" if self.inside else ""
        yield f"{self.layer} ({self.op}){where}"
        if self.reason:
            yield f"  {self.reason}"
        for row in self.candidates:
            mark = "*" if row.name == self.taken else " "
            us = f"{row.measured_us:12.1f} us" if row.measured_us else f"{'-':>15}"
            work = f"  predicted work {row.work:.2f} of plain dense" if row.work else ""
            note = f"  {row.note}" if row.note else ""
            yield f"{mark} {row.name:28}{us}{work}{note}"
        if any(":" in row.name for row in self.candidates):
            yield "  (a:b are the model's layers from a, counted from 0, to before b)"
        if not self.candidates and not self.inside:
            yield "  chosen by the cost model; `coexec tune` measures"
        if self.excluded:
            yield f"  {self.excluded}"


def why(program: program_pb2.Program, name: str) -> Why:
    """Raises CompileError when the program has no layer of that name."""
    for layer in program.layers:
        if layer.name == name:
            return _why(program, layer, Why(layer.name, layer.op))
        for line in layer.why_not_native.splitlines():
            inner, _, rest = line.partition(" (")
            if inner == name:
                op, _, reason = rest.partition("): ")
                return _why(program, layer, Why(inner, op, layer.name, reason))
    known = [layer.name for layer in program.layers]
    raise CompileError(
        f"{program.name}: has no layer {name!r}; there are {some_of(known, name)}; "
        "`coexec inspect` lists them all"
    )


def _why(program: program_pb2.Program, layer: program_pb2.Layer, found: Why) -> Why:
    dtype = program.options.get("type", "")
    if dtype and layer.op != ONNX_RUNTIME:
        found.excluded = (
            f"ONNX Runtime is no candidate: the model is compiled with --type {dtype}, and its "
            "results would be others"
        )
    choice = layer.choice
    found.taken, found.mode = choice.taken, choice.mode
    found.candidates = [Candidate(c.name, c.work, c.measured_us, c.note) for c in choice.candidates]
    return found
