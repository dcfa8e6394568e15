"""The subcommands that need no daemon: compile, inspect, bench, tune."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from coexec.compiler import bench_command, tune_command
from coexec.compiler.arguments import (
    add_basis,
    add_command,
    add_prune,
    add_shape_and_json,
    add_tuning,
    add_tuning_dir,
    checked,
    refuse_for_compiled,
)
from coexec.compiler.describe import describe
from coexec.compiler.errors import CompileError
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import Target
from coexec.compiler.prune.rule import parse_density, parse_latency
from coexec.compiler.quantize import TYPES
from coexec.compiler.tables import layer_table, summary
from coexec.compiler.tune.explain import why
from coexec.compiler.tune_command import given_away, warn
from coexec.kernels.program import format

if TYPE_CHECKING:
    from coexec.compiler.arguments import Subparsers


def register(subparsers: Subparsers) -> None:
    """Add compile, inspect, bench and tune. Each sets `run`, which takes the parsed options and
    returns the exit status."""
    compiling = add_command(
        subparsers,
        "compile",
        _compile,
        "compile an ONNX model",
        "coexec compile detect.onnx --prune bcr=0.9 --prune 'head/*:dense'\n"
        "  coexec compile detect.onnx --calibration frames.npz --target-latency 5ms",
    )
    compiling.add_argument("model", type=Path, metavar="MODEL.onnx")
    compiling.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="default: MODEL.coexec beside the model"
    )
    add_prune(compiling)
    add_basis(compiling)
    _add_pruning(compiling)
    compiling.add_argument(
        "--type",
        choices=TYPES,
        default="f32",
        help="what weights are stored as: bf16 halves them and computes in f32, or on a machine "
        "with AMX or AVX-512 BF16 multiplies bf16, with inputs rounded to it; int8 computes "
        "convolutions, matrix products, LSTM and GRU on integers, and needs --calibration",
    )
    inspecting = add_command(
        subparsers,
        "inspect",
        _inspect,
        "list a model's layers, native or why not",
        "coexec inspect detect.onnx --shape image=1,3,224,224",
    )
    inspecting.add_argument("model", type=Path, metavar="MODEL", help=".onnx or .coexec")
    inspecting.add_argument(
        "--why", metavar="LAYER", help="the ways to run this layer that were tried"
    )
    add_tuning(compiling, "")
    add_tuning_dir(inspecting)
    for parser in (compiling, inspecting):
        add_shape_and_json(parser)
    bench_command.register(subparsers)
    tune_command.register(subparsers)


def _add_pruning(compiling: argparse.ArgumentParser) -> None:
    """What --prune leaves open: inputs to prune on, and how far to go."""
    compiling.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE.npz",
        help="inputs, an array per name: pruned weights are chosen and refitted by least squares "
        "on them, and the outputs' error is measured",
    )
    compiling.add_argument(
        "--reconstruct",
        action=argparse.BooleanOptionalAction,
        help="refit on the calibration inputs; by default whenever they are given",
    )
    target = compiling.add_mutually_exclusive_group()
    target.add_argument(
        "--target-density",
        type=checked(parse_density),
        metavar="SHARE",
        help="search each layer's rate so that this share of all weights is kept, as in 0.1; for "
        "rules without a rate (bcr, 'body/*:unstructured'), or for bcr when there is none",
    )
    target.add_argument(
        "--target-latency",
        type=checked(parse_latency),
        metavar="TIME",
        help="search each layer's rate so that the model takes this long on one thread of this "
        "machine, as in 5ms",
    )
    compiling.add_argument(
        "--trade-off",
        type=Path,
        metavar="FILE.png",
        help="draw the target's trade-off curve; needs matplotlib",
    )


def _target(options: argparse.Namespace) -> Target | None:
    if options.target_density is None and options.target_latency is None:
        return None
    return Target(options.target_density, options.target_latency)


def _refuse_idle_options(options: argparse.Namespace, target: Target | None) -> None:
    if options.calibration and not (options.prune or target or options.type != "f32"):
        raise CompileError("--calibration is for pruning and for types; give --prune or --type")
    if options.reconstruct and not options.calibration:
        raise CompileError("--reconstruct fits weights to inputs; give --calibration FILE.npz")
    if options.trade_off and not target:
        raise CompileError("--trade-off draws a search; give --target-density or --target-latency")


def _compile(options: argparse.Namespace) -> None:
    folder = options.output or options.model.parent / f"{options.model.stem}.coexec"
    target = _target(options)
    _refuse_idle_options(options, target)
    report = compile_model(
        options.model,
        folder,
        CompileOptions(
            shapes=dict(options.shape),
            prune=options.prune,
            basis=options.basis,
            calibration=options.calibration,
            reconstruct=options.reconstruct is not False,
            target=target,
            trade_off=options.trade_off,
            dtype=options.type,
            tune=options.tune,
            tuning=options.tuning_dir,
            keep_native=options.keep_native,
        ),
    )
    warn(report.warnings)
    if options.json:
        print(json.dumps(asdict(report), default=str))
        return
    seconds = sum(report.seconds.values())
    print(f"{options.model} -> {folder} in {seconds:.1f} s")
    for line in report.pruned:
        print(f"  pruned {line}")
    for line in report.typed:
        print(f"  typed {line}")
    for line in report.undone:
        print(f"  undone {line}")
    for line in report.tuned:
        print(f"  tuned {line}")
    if report.given:
        print(f"  {given_away(report.given)}")
    assert report.description is not None
    print(summary(report.description))


def _inspect(options: argparse.Namespace) -> None:
    refuse_for_compiled(options, options.shape, "--shape")
    with tempfile.TemporaryDirectory() as folder:
        compiled = options.model
        if not compiled.is_dir():
            compiled = Path(folder) / f"{options.model.stem}.coexec"
            shapes = dict(options.shape)
            made = CompileOptions(shapes=shapes, profile=False, tuning=options.tuning_dir)
            warn(compile_model(options.model, compiled, made).warnings)
        model = format.load(compiled)
        if options.why:
            found = why(model.program, options.why)
            print(json.dumps(asdict(found)) if options.json else "\n".join(found.lines()))
            return
        description = describe(model)
    if options.json:
        print(json.dumps(asdict(description)))
        return
    print(layer_table(description))
    print(summary(description))
