"""`coexec tune`: measure a model's layers now, or carry measurements to another machine."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from coexec.compiler.arguments import (
    add_command,
    add_prune,
    add_shape_and_json,
    add_tuning,
)
from coexec.compiler.errors import CompileError
from coexec.compiler.pipeline import CompileOptions, CompileReport, compile_model
from coexec.compiler.tune import Tuning

if TYPE_CHECKING:
    from coexec.compiler.arguments import Subparsers


def register(subparsers: Subparsers) -> None:
    tuning = add_command(
        subparsers,
        "tune",
        _tune,
        "measure the ways to run each layer of a model, and keep the results",
        "coexec tune detect.onnx --tune full\n  coexec tune --export orin.json",
    )
    tuning.add_argument("model", type=Path, nargs="?", metavar="MODEL.onnx")
    add_tuning(tuning, "fast")
    add_prune(tuning)
    tuning.add_argument(
        "--import", dest="source", type=Path, metavar="FILE", help="first add an exported file"
    )
    tuning.add_argument(
        "--export", dest="target", type=Path, metavar="FILE", help="then write all that is kept"
    )
    add_shape_and_json(tuning)


def warn(lines: Iterable[str]) -> None:
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)


def _tune(options: argparse.Namespace) -> None:
    if not (options.model or options.source or options.target):
        raise CompileError("nothing to do; give a MODEL.onnx, --import FILE or --export FILE")
    facts: dict[str, object] = {}
    if options.source:
        tuning = Tuning(options.tuning_dir)
        warn(tuning.warnings)
        facts["imported"] = tuning.take(options.source)
        tuning.save()
    report = _measured(options) if options.model else None
    if report is not None:
        warn(report.warnings)
        facts |= {"seconds": report.seconds["tune"], "tuned": report.tuned}
    if options.target:
        kept = Tuning(options.tuning_dir)
        warn(kept.warnings)
        facts["exported"] = kept.export(options.target)
    if options.json:
        print(json.dumps(facts))
        return
    for name, fact in facts.items():
        if isinstance(fact, list):
            print("\n".join([f"{len(fact)} layers other than the cost model has them", *fact]))
        else:
            print(f"{name}: {fact:.1f}" if isinstance(fact, float) else f"{name}: {fact} choices")


def _measured(options: argparse.Namespace) -> CompileReport:
    with tempfile.TemporaryDirectory() as folder:
        return compile_model(
            options.model,
            Path(folder) / "tuned.coexec",
            CompileOptions(
                shapes=dict(options.shape),
                prune=options.prune,
                profile=False,
                tune=options.tune,
                tuning=options.tuning_dir,
            ),
        )
