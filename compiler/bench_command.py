"""`coexec bench`: measure a model's latency in this process."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from coexec.compiler.arguments import (
    add_command,
    add_shape_and_json,
    add_tuning_dir,
    checked,
    parse_batch,
    parse_input,
    parse_threads,
    refuse_for_compiled,
)
from coexec.compiler.array_files import read_array
from coexec.compiler.bench import Timing, bench
from coexec.compiler.onnx_import import Shape, read_signature

if TYPE_CHECKING:
    from coexec.compiler.arguments import Subparsers


def register(subparsers: Subparsers) -> None:
    benching = add_command(
        subparsers,
        "bench",
        _bench,
        "measure a model's latency in this process",
        "coexec bench detect.onnx --threads 2 --against onnxruntime",
    )
    benching.add_argument("model", type=Path, metavar="MODEL", help=".onnx or .coexec")
    benching.add_argument(
        "--threads", type=checked(parse_threads), default=1, metavar="N", help="default: 1"
    )
    benching.add_argument(
        "--batch",
        type=checked(parse_batch),
        metavar="N",
        help="the first dim of inputs where it is dynamic",
    )
    benching.add_argument(
        "--input",
        type=checked(parse_input),
        action="append",
        default=[],
        metavar="NAME=FILE.npy|FILE.npz",
        help="of an .npz file, the array of that name or the only one; its shape is compiled for; "
        "inputs not named are random",
    )
    benching.add_argument(
        "--against", choices=["onnxruntime"], help="run the .onnx file there too, by turns"
    )
    add_tuning_dir(benching)
    add_shape_and_json(benching)


def _bench(options: argparse.Namespace) -> None:
    refuse_for_compiled(options, options.shape, "--shape")
    refuse_for_compiled(options, options.batch, "--batch")
    shapes = dict(options.shape)
    if options.batch:
        shapes = {**_with_batch(options.model, options.batch), **shapes}
    given = {name: read_array(file, name) for name, file in options.input}
    timings = bench(
        options.model, shapes, options.threads, options.against or "", options.tuning_dir, given
    )
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
    if options.against:
        print(f"{options.model}, compiled now, and the same file in ONNX Runtime, by turns:")
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
