"""An ONNX file in, a compiled model out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coexec.compiler.calibration import GraphRunner, read_calibration
from coexec.compiler.describe import Description, LayerDescription, describe
from coexec.compiler.errors import CompileError
from coexec.compiler.ir.graph import Graph, Layer
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.native import Kernels
from coexec.compiler.onnx_import import (
    Shape,
    read_model,
    signature_of,
)
from coexec.compiler.passes import FINISH, LAYOUTS, REWRITES, Pass
from coexec.compiler.passes.linear import LINEAR
from coexec.compiler.program import to_program
from coexec.compiler.prune import PruneRule, Target, prune
from coexec.compiler.prune.basis import decompose
from coexec.compiler.prune.trade_off import draw_trade_off, refuse_without_matplotlib
from coexec.compiler.quantize import quantize
from coexec.compiler.to_graph import to_graph
from coexec.compiler.try_pass import try_pass
from coexec.compiler.tune import EFFORTS, Choice, Tuning
from coexec.compiler.tune.backends import Backends, tune_backends
from coexec.compiler.tune.layouts import tune_layouts
from coexec.kernels.program import format
from coexec.kernels.program.errors import FormatError, RunError


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """shapes: of inputs with dynamic dimensions, by name. prune: rules, none by default.
    basis: how many basis kernels convolutions are decomposed into before that; 0: they are not.
    calibration: an .npz file with inputs to prune by least squares on, and to measure the pruned
    model's error on; without reconstruct, only that. target: sets the rates that rules leave open.
    dtype: what weights are stored as, one of quantize.TYPES.
    trade_off: a file to draw the target's trade-off curve into. name: the model's, its file's stem
    when empty. profile: time every layer, for `inspect` and for the scheduler's costs. tune: how
    much to measure, "fast" or "full"; "": nothing. tuning: the folder of what was measured before,
    which is used whatever `tune` says and gets what it measures. keep_native: do not hand native
    layers to ONNX Runtime where that was or would be faster."""

    name: str = ""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    prune: Sequence[PruneRule] = ()
    basis: int = 0
    calibration: Path | None = None
    reconstruct: bool = True
    target: Target | None = None
    trade_off: Path | None = None
    dtype: str = "f32"
    profile: bool = True
    tune: str = ""
    tuning: Path | None = None
    keep_native: bool = False


@dataclass(slots=True)
class CompileReport:
    """What became of a model. description: of its layers, when profiled. seconds: by stage.
    passes: how much each rewrote. undone: passes taken back because no kernel took the result.
    pruned: the pruning in words, a line per weight; typed: likewise the types of weights. tuned:
    what the tuner chose other than the cost model would have, a line per layer. given: how many
    native layers it handed to ONNX Runtime. measurements: the digest of those it used
    (tune.cache.content). warnings: of what was ignored."""

    name: str
    target: Path
    description: Description | None
    seconds: dict[str, float] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    tuned: list[str] = field(default_factory=list)
    given: int = 0
    measurements: str = ""
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> CompileReport:
        """The report that was written with dataclasses.asdict and JSON."""
        described = facts["description"]
        if described is not None:
            layers = [LayerDescription(**layer) for layer in described["layers"]]
            described = Description(**{**described, "layers": layers})
        return cls(**{**facts, "target": Path(facts["target"]), "description": described})


def compile_model(model: Path, target: Path, options: CompileOptions) -> CompileReport:
    """Compiles the ONNX file `model` into the folder `target`, replacing what is there. Raises
    CompileError when it cannot be, with what would help."""
    report = CompileReport(options.name or model.stem, target, None)
    with _timed(report, "read"):
        source = read_model(model)
        signature = signature_of(source.model)
    kernels = Kernels()
    tuning = Tuning(options.tuning)
    report.warnings += tuning.warnings
    with _timed(report, "import"):
        graph, prepared = to_graph(source, signature, options.shapes, kernels, report.name)
    with _timed(report, "passes"):
        _run_passes(graph, REWRITES, kernels, report)
    if options.basis:
        with _timed(report, "prune"):
            report.pruned = [str(one) for one in decompose(graph, options.basis)]
    if options.prune or options.target:
        with _timed(report, "prune"):
            _prune(graph, options, tuning, report)
    if options.dtype != "f32":
        with _timed(report, "type"):
            _quantize(graph, options, report)
    with _timed(report, "passes"):
        _run_passes(graph, LAYOUTS, kernels, report)
    with _timed(report, "tune"):
        changed = options.prune or options.basis or options.target
        graph, choices = _tune(graph, b"" if changed else prepared, options, tuning, report)
    with _timed(report, "passes"):
        _run_passes(graph, FINISH, kernels, report)
    program, constants = to_program(graph, source.sha256, _in_words(options), choices)
    try:
        if options.profile:
            with _timed(report, "profile"), tempfile.TemporaryDirectory() as folder:
                draft = Path(folder) / "draft.coexec"
                format.save(program, constants, draft)
                report.description = describe(format.load(draft))
            for layer, described in zip(program.layers, report.description.layers, strict=True):
                layer.measured_us = described.measured_us
        with _timed(report, "save"):
            format.save(program, constants, target)
    except (FormatError, RunError) as error:
        raise CompileError(f"{report.name}: {error}") from error
    except OSError as error:
        why = error.strerror or error
        raise CompileError(f"{report.name}: {target} cannot be written: {why}") from error
    return report


def _tune(
    graph: Graph,
    whole_model: bytes,
    options: CompileOptions,
    tuning: Tuning,
    report: CompileReport,
) -> tuple[Graph, dict[str, Choice]]:
    """The graph with each layer in the fastest way that was ever measured here."""
    effort = EFFORTS[options.tune] if options.tune else None
    report.measurements = tuning.content
    if effort is None and not len(tuning):
        return graph, {}
    before = {layer.name for layer in graph.layers}
    choices = tune_layouts(graph, effort, tuning)
    others = options.dtype != "f32" or _has_integers(graph)  # ONNX Runtime's results would be
    if others or options.keep_native:
        tuned = Backends(graph, choices)
    else:
        tuned = tune_backends(graph, whole_model, effort, tuning, choices)
    try:
        tuning.save()
    except CompileError as error:  # the model is no worse for it; the next one measures again
        report.warnings.append(str(error))
    report.measurements = tuning.content
    report.given = _native_layers(graph) - _native_layers(tuned.graph)
    report.tuned = [
        f"{layer.name}{_of_layers(layer)}: {choice}"
        for layer in tuned.graph.layers
        if (choice := tuned.choices.get(layer.name)) is not None
        and (layer.name not in before or choice.taken != choice.candidates[0].name)
    ]
    return tuned.graph, tuned.choices


def _has_integers(graph: Graph) -> bool:
    operands = (v for layer in graph.layers if layer.op in LINEAR for v in layer.inputs if v)
    return any(value.type.dtype == "i8" for value in operands)


def _native_layers(graph: Graph) -> int:
    return sum(layer.op != ONNX_RUNTIME for layer in graph.layers)


def _of_layers(layer: Layer) -> str:
    if layer.op != ONNX_RUNTIME:
        return ""
    return f" (ONNX Runtime, for {len(layer.why_not_native.splitlines())} layers)"


def _run_passes(
    graph: Graph, passes: Sequence[Pass], kernels: Kernels, report: CompileReport
) -> None:
    for one in passes:
        done, refused = try_pass(graph, one, kernels)
        if refused:
            report.undone.append(f"{done.name}: {refused}")
            continue
        report.passes[done.name] = report.passes.get(done.name, 0) + len(done.done)
        if done.name == "use_integers":
            report.typed += [f"{name}: int8, as the model says" for name in done.done]
            report.typed += [f"{why}; stays f32" for why in done.refused]


def _prune(graph: Graph, options: CompileOptions, tuning: Tuning, report: CompileReport) -> None:
    if options.trade_off:
        refuse_without_matplotlib()
    examples = read_calibration(options.calibration, graph) if options.calibration else []
    done = prune(
        graph,
        options.prune,
        examples,
        GraphRunner(),
        options.reconstruct,
        options.target,
        known=tuning,
    )
    if options.trade_off and done.taken:
        draw_trade_off(done.frontier, done.taken, options.trade_off)
    report.pruned += done.lines()
    if done.density == 1.0:
        why = "the report has a reason for each" if done.weights else "the model has none in floats"
        report.warnings.append(f"no weight was pruned: {why}")


def _quantize(graph: Graph, options: CompileOptions, report: CompileReport) -> None:
    examples = read_calibration(options.calibration, graph) if options.calibration else []
    typed = quantize(graph, options.dtype, examples, GraphRunner())
    report.typed += typed.lines()
    report.warnings += typed.warnings


def _in_words(options: CompileOptions) -> dict[str, str]:
    """The options as the command line takes them."""
    shapes = sorted(options.shapes.items())
    return {
        "shapes": " ".join(f"{name}={','.join(map(str, shape))}" for name, shape in shapes),
        "prune": " ".join(map(str, options.prune)),
        "basis": str(options.basis or ""),
        **({"target": str(options.target)} if options.target else {}),
        **({"type": options.dtype} if options.dtype != "f32" else {}),
        "tune": options.tune,
        **({"keep_native": "yes"} if options.keep_native else {}),
    }


@contextmanager
def _timed(report: CompileReport, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    report.seconds[stage] = report.seconds.get(stage, 0.0) + time.perf_counter() - start
