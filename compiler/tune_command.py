"""`coexec tune`: measure a model's layers now, or carry measurements to another machine."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
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
        "coexec tune detect.onnx --tune full\n  coexec tune --export orin.json\n"
        "  coexec tune --forget",
    )
    tuning.add_argument("model", type=Path, nargs="?", metavar="MODEL.onnx")
    add_tuning(tuning, "fast")
    add_prune(tuning)
    tuning.add_argument(
        "--forget",
        action="store_true",
        help="first remove what is kept for this CPU and this build",
    )
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


def given_away(layers: int) -> str:
    """What it means that the tuner handed so many layers to ONNX Runtime."""
    return (
        f"ONNX Runtime computes {layers} layers that could be native: it is faster, but they share "
        "neither weights nor work with other models, and cannot be preempted; --keep-native "
        "keeps them"
    )


def _tune(options: argparse.Namespace) -> None:
    if not (options.model or options.source or options.target or options.forget):
        raise CompileError(
            "nothing to do; give a MODEL.onnx, --import FILE, --export FILE or --forget"
        )
    facts: dict[str, object] = {}
    if options.source or options.forget:
        tuning = Tuning(options.tuning_dir)
        warn(tuning.warnings)
        if options.forget:
            facts["forgotten"] = tuning.forget()
        if options.source:
            facts["imported"] = tuning.take(options.source)
            tuning.save()
    report = _measured(options) if options.model else None
    if report is not None:
        warn(report.warnings)
        facts |= {"seconds": report.seconds["tune"], "tuned": report.tuned}
    kept = Tuning(options.tuning_dir)
    if options.target:
        warn(kept.warnings)
        facts["exported"] = kept.export(options.target)
    facts |= {"kept": len(kept), "file": str(kept.path)}
    print(json.dumps(facts) if options.json else "\n".join(_lines(options, facts, report)))


def _lines(
    options: argparse.Namespace, facts: Mapping[str, object], report: CompileReport | None
) -> Iterator[str]:
    if "forgotten" in facts:
        yield f"forgot {facts['forgotten']} choices"
    if options.source:
        yield f"took {facts['imported']} choices from {options.source}"
    if report is not None:
        yield f"{options.model}: tuned in {facts['seconds']:.1f} s (--tune {options.tune})"
        if report.tuned:
            yield f"  faster than without measuring ({len(report.tuned)}):"
        else:
            yield "  nothing was faster than what is taken without measuring"
        yield from (f"    {line}" for line in report.tuned)
        if report.given:
            yield f"  {given_away(report.given)}"
        who = "with the same --prune uses" if options.prune else "and the daemon use"
        yield f"  `coexec compile` {who} what was measured from now on"
    if options.target:
        yield f"wrote {facts['exported']} choices to {options.target}"
    yield f"{facts['kept']} choices are kept in {facts['file']}"


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
                keep_native=options.keep_native,
            ),
        )
