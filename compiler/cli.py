"""The subcommands that need no daemon: compile, inspect, bench."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from coexec.compiler.bench import Timing, bench
from coexec.compiler.describe import Description, describe
from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import import Shape, read_signature
from coexec.compiler.pipeline import CompileOptions, CompileReport, compile_model
from coexec.compiler.prune import PruneRule, parse_rule
from coexec.kernels._kernels import UnsupportedLayerError
from coexec.kernels.program import format
from coexec.kernels.program.errors import FormatError, RunError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

T = TypeVar("T")
_Run = Callable[[argparse.Namespace], None]


def register(subparsers: Subparsers) -> None:
    """Add compile, inspect and bench. Each sets `run`, which takes the parsed options and
    returns the exit status."""
    compiling = _add(
        subparsers,
        "compile",
        _compile,
        "compile an ONNX model",
        "coexec compile detect.onnx --prune bcr=0.9 --prune 'head/*:dense'",
    )
    compiling.add_argument("model", type=Path, metavar="MODEL.onnx")
    compiling.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: MODEL.coexec beside the model"
    )
    compiling.add_argument(
        "--prune",
        type=_checked(parse_rule),
        action="append",
        default=[],
        metavar="[LAYERS:]SCHEME=RATE",
        help="bcr=0.9, unstructured=0.9; with a glob of layer names for those layers only",
    )
    compiling.add_argument(
        "--calibration", type=Path, metavar="FILE.npz", help="inputs to measure pruning's error on"
    )
    inspecting = _add(
        subparsers,
        "inspect",
        _inspect,
        "list a model's layers, native or why not",
        "coexec inspect detect.onnx --shape image=1,3,224,224",
    )
    inspecting.add_argument("model", type=Path, metavar="MODEL", help=".onnx or .coexec")
    benching = _add(
        subparsers,
        "bench",
        _bench,
        "measure a model's latency in this process",
        "coexec bench detect.onnx --threads 2 --against onnxruntime",
    )
    benching.add_argument("model", type=Path, metavar="MODEL", help=".onnx or .coexec")
    benching.add_argument("--threads", type=int, default=1, metavar="N", help="default: 1")
    benching.add_argument(
        "--batch", type=int, metavar="N", help="the first dim of inputs where it is dynamic"
    )
    benching.add_argument("--against", choices=["onnxruntime"], help="the same model, by turns")
    for parser in (compiling, inspecting, benching):
        parser.add_argument(
            "--shape",
            type=_checked(_shape),
            action="append",
            default=[],
            metavar="NAME=1,3,224,224",
            help="of an input with dynamic dimensions",
        )
        parser.add_argument("--json", action="store_true", help="print facts for programs")


def _add(
    subparsers: Subparsers, name: str, run: _Run, text: str, example: str
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def guarded(options: argparse.Namespace) -> int:
        try:
            run(options)
        except (CompileError, FormatError, RunError, UnsupportedLayerError) as error:
            print(f"coexec {name}: {error}", file=sys.stderr)
            return 1
        return 0

    parser.set_defaults(run=guarded)
    return parser


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """The parser with its refusals as argparse shows them."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except CompileError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _shape(text: str) -> tuple[str, Shape]:
    name, separator, dims = text.rpartition("=")
    try:
        shape = tuple(int(dim) for dim in dims.split(",") if dim)
    except ValueError:
        shape, separator = (), ""
    if not separator or not name:
        raise CompileError(f"{text!r} is no shape; write NAME=1,3,224,224, or NAME= for a scalar")
    return name, shape


def _compile(options: argparse.Namespace) -> None:
    target = options.output or options.model.with_suffix(".coexec")
    rules: list[PruneRule] = options.prune
    if options.calibration and not rules:
        raise CompileError("--calibration measures what pruning costs; give --prune as well")
    report = compile_model(
        options.model,
        target,
        CompileOptions(shapes=dict(options.shape), prune=rules, calibration=options.calibration),
    )
    if options.json:
        print(json.dumps(asdict(report), default=str))
        return
    seconds = sum(report.seconds.values())
    print(f"{options.model} -> {target} in {seconds:.1f} s")
    for line in report.pruned:
        print(f"  pruned {line}")
    for line in report.undone:
        print(f"  undone {line}")
    assert report.description is not None
    print(_summary(report.description))


def _inspect(options: argparse.Namespace) -> None:
    description = _described(options.model, dict(options.shape))
    if options.json:
        print(json.dumps(asdict(description)))
        return
    print(_layer_table(description))
    print(_summary(description))


def _described(model: Path, shapes: dict[str, Shape]) -> Description:
    if model.is_dir():
        return describe(format.load(model))
    with tempfile.TemporaryDirectory() as folder:
        report: CompileReport = compile_model(
            model, Path(folder) / f"{model.stem}.coexec", CompileOptions(shapes=shapes)
        )
    assert report.description is not None
    return report.description


def _bench(options: argparse.Namespace) -> None:
    shapes = dict(options.shape)
    if options.batch and not options.model.is_dir():
        shapes = {**_with_batch(options.model, options.batch), **shapes}
    timings = bench(options.model, shapes, options.threads, options.against or "")
    ours = timings["coexec"]
    facts = {"median_ms": ours.median_ms, "p99_ms": ours.p99_ms, "rounds": ours.rounds}
    if options.against:
        theirs = timings[options.against]
        facts |= {
            f"{options.against}_median_ms": theirs.median_ms,
            f"{options.against}_p99_ms": theirs.p99_ms,
            "ratio": theirs.median_ms / ours.median_ms,
        }
    if options.json:
        print(json.dumps(facts))
        return
    for name, timing in timings.items():
        print(_timing_line(name, timing))
    if options.against:
        print(f"ratio        {facts['ratio']:.2f} (above 1: coexec is the faster)")


def _with_batch(model: Path, batch: int) -> dict[str, Shape]:
    """The shape of every input whose other dims are known, with that first dim."""
    shapes: dict[str, Shape] = {}
    for spec in read_signature(model).inputs:
        if spec.shape and -1 not in spec.shape[1:]:
            shapes[spec.name] = (batch, *spec.shape[1:])
    return shapes


def _timing_line(name: str, timing: Timing) -> str:
    return (
        f"{name:12} median {timing.median_ms:.3f} ms  p99 {timing.p99_ms:.3f} ms  "
        f"({timing.rounds} rounds)"
    )


def _layer_table(description: Description) -> str:
    head = ("op", "name", "output", "layout", "density", "kernel", "us")
    rows = [
        (
            layer.op,
            layer.name,
            f"{layer.dtype}{layer.shape}",
            layer.layout,
            f"{layer.density:.2f}",
            layer.kernel,
            f"{layer.measured_us:.1f}",
        )
        for layer in description.layers
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(head, widths, strict=True)).rstrip()]
    for row, layer in zip(rows, description.layers, strict=True):
        lines.append("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
        lines += [f"    not native: {line}" for line in layer.why_not_native.splitlines()]
    return "\n".join(lines)


def _summary(description: Description) -> str:
    native = sum(layer.native for layer in description.layers)
    total_us = sum(layer.measured_us for layer in description.layers)
    return (
        f"{description.name}: {native} of {len(description.layers)} layers native, "
        f"{description.native_flops_share:.1%} of {description.flops / 1e6:.1f} Mflop; "
        f"arena {description.arena_bytes / 1e6:.2f} MB, "
        f"constants {description.constants_bytes / 1e6:.2f} MB; {total_us / 1e3:.2f} ms measured"
    )
