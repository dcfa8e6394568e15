"""Why a layer of a compiled model runs the way it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from coexec.compiler.errors import CompileError, some_of
from coexec.compiler.ir.ops import BY_NAME, ONNX_RUNTIME
from coexec.compiler.passes.linear import LINEAR
from coexec.compiler.tune.candidates import LAID_OUT, ZEROS_MIN
from coexec.compiler.tune.choice import FOREIGN, IN_ITS_RUN, NATIVE, Candidate
from coexec.protos import program_pb2


@dataclass(slots=True)
class Why:
    """inside: the layer that ONNX Runtime computes and this one is part of; "" otherwise. The
    candidates are then those of the whole model. reason: why it is there. excluded: why ways that
    would be candidates elsewhere are none here, a line each. advice: what would measure it, where
    nothing did."""

    layer: str
    op: str
    inside: str = ""
    reason: str = ""
    taken: str = ""
    mode: str = ""
    candidates: list[Candidate] = field(default_factory=list)
    excluded: str = ""
    advice: str = ""

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
        valid = [row for row in self.candidates if row.note in ("", IN_ITS_RUN)]
        times = {row.name: row.measured_us for row in valid}
        if self.taken != FOREIGN and 0 < times.get(FOREIGN, 0) < times.get(self.taken, 0):
            yield "  (stays here: with layers handed over, the whole model was not faster)"
        if not self.candidates and not self.inside:
            yield "; ".join(filter(None, ("  nothing was measured", self.advice)))
        yield from (f"  {line}" for line in self.excluded.splitlines())


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
    for layer in program.layers:
        known += [line.partition(" (")[0] for line in layer.why_not_native.splitlines()]
    raise CompileError(
        f"{program.name}: has no layer {name!r}; there are {some_of(known, name)}; "
        "`coexec inspect --json` lists them all"
    )


def _why(program: program_pb2.Program, layer: program_pb2.Layer, found: Why) -> Why:
    choice = layer.choice
    found.taken, found.mode = choice.taken, choice.mode
    found.candidates = [Candidate(c.name, c.work, c.measured_us, c.note) for c in choice.candidates]
    native = layer.op != ONNX_RUNTIME
    no_layouts, no_foreign = _no_layouts(program, layer) if native else "", _no_foreign(program)
    if native:
        found.excluded = "\n".join(line for line in (no_layouts, no_foreign) if line)
    if not choice.candidates and not program.options.get("tune", ""):
        if not no_foreign:
            found.advice = "`coexec tune` measures"
        elif native and not no_layouts:
            found.advice = f"`coexec tune` does if {ZEROS_MIN:.0%} of its weights are zeros"
    return found


def _no_layouts(program: program_pb2.Program, layer: program_pb2.Layer) -> str:
    """Why the layer's weights have one layout; "" when others were tried, or may be."""
    if any(c.name not in (NATIVE, FOREIGN) for c in layer.choice.candidates):
        return ""
    op = BY_NAME[layer.op]
    indices = [
        i
        for i, name in zip(layer.inputs, op.inputs, strict=False)
        if i >= 0 and name.rstrip("?") in op.weights and program.tensors[i].constant
    ]
    weights = [program.tensors[i] for i in indices]
    if not weights:
        return "no other layout: it has no weights to lay out"
    if all(weight.type.dtype not in LAID_OUT for weight in weights):
        return f"no other layout: weights of {weights[0].type.dtype} have one, dense"
    if any(sum(i in other.inputs for other in program.layers) > 1 for i in indices):
        return ""  # the first of its readers chose
    tuned = layer.choice.mode or program.options.get("tune", "")
    if tuned and all(w.type.layout in ("", "dense") for w in weights):
        return f"no other layout: fewer than {ZEROS_MIN:.0%} of its weights are zeros"
    return ""


def _no_foreign(program: program_pb2.Program) -> str:
    """Why ONNX Runtime was not tried; "" when it was, or may be."""
    none = "ONNX Runtime is no candidate: the model is compiled with"
    if dtype := program.options.get("type", ""):
        return f"{none} --type {dtype}, and its results would be others"
    if program.options.get("keep_native", ""):
        return f"{none} --keep-native"
    if any(
        i >= 0 and program.tensors[i].type.dtype == "i8"
        for layer in program.layers
        if layer.op in LINEAR
        for i in layer.inputs
    ):
        return (
            "ONNX Runtime is no candidate: the model is quantized, and ONNX Runtime's results "
            "would be others"
        )
    return ""
