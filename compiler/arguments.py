"""What the compiler's commands have in common on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import import Shape
from coexec.compiler.prune import parse_rule
from coexec.compiler.signature import ELEMENTS_MAX
from coexec.compiler.tune import EFFORTS
from coexec.compiler.tune.cache import default_folder
from coexec.kernels._kernels import UnsupportedLayerError, available_cores
from coexec.kernels.program.errors import FormatError, RunError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

T = TypeVar("T")
Command = Callable[[argparse.Namespace], None]


def add_command(
    subparsers: Subparsers, name: str, run: Command, text: str, example: str
) -> argparse.ArgumentParser:
    """A parser whose `run` tells a refusal's reason and returns the exit status."""
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


def parse_threads(text: str) -> int:
    """Raises CompileError for what is no number of threads that can run at once here."""
    most = len(available_cores())
    if text.isdecimal() and 1 <= int(text) <= most:
        return int(text)
    raise CompileError(
        f"{text!r} threads cannot be: this process may use {most} of the machine's "
        f"{os.cpu_count()} cores; 1 to {most} fit"
    )


def parse_batch(text: str) -> int:
    """Raises CompileError for what is no size of a batch."""
    if text.isdecimal() and 1 <= int(text) <= ELEMENTS_MAX:
        return int(text)
    raise CompileError(f"{text!r} is no size of a batch; 1 to {ELEMENTS_MAX} fit")


def parse_input(text: str) -> tuple[str, Path]:
    """An input's name and the file of its array. Raises CompileError."""
    name, separator, file = text.partition("=")
    if not (name and separator and file):
        raise CompileError(f"{text!r}: write NAME=FILE.npy or NAME=FILE.npz")
    return name, Path(file)


def add_shape_and_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape",
        type=checked(_shape),
        action="append",
        default=[],
        metavar="NAME=1,3,224,224",
        help="of an input with dynamic dimensions",
    )
    parser.add_argument("--json", action="store_true", help="print facts for programs")


def add_prune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prune",
        type=checked(parse_rule),
        action="append",
        default=[],
        metavar="[LAYERS:]SCHEME[=RATE]",
        help="bcr=0.9, block=0.9, unstructured=0.9, pattern=0.877, kgs=0.667, nm=0.5; with a "
        "glob of layer names for those layers only; "
        "bcr=0.9@8x64 for blocks of 8 rows and 64 columns instead of measured ones",
    )


def add_basis(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--basis",
        type=int,
        default=0,
        metavar="M",
        help="make convolutions combinations of M basis kernels; --prune then thins those",
    )


def add_tuning(parser: argparse.ArgumentParser, tune: str) -> None:
    """tune: the effort when none is given."""
    parser.add_argument(
        "--tune",
        choices=list(EFFORTS),
        default=tune,
        help="measure what is not known yet: fast takes seconds, full minutes"
        + (f"; default: {tune}" if tune else ""),
    )
    parser.add_argument(
        "--keep-native",
        action="store_true",
        help="do not let ONNX Runtime compute what it is faster at: native layers alone can be "
        "shared with other models and preempted",
    )
    add_tuning_dir(parser)


def add_tuning_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tuning-dir",
        type=checked(_folder),
        default=default_folder(),
        metavar="DIR",
        help="where measurements are kept; default: tuning/ in the daemon's state directory",
    )


def refuse_for_compiled(options: argparse.Namespace, given: object, name: str) -> None:
    """Raises CompileError when the option was given and the model is compiled already."""
    if given and options.model.is_dir():
        raise CompileError(
            f"{options.model}: compiled for fixed shapes already; {name} is for .onnx files"
        )


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """The parser with its refusals as argparse shows them."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except CompileError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise CompileError(f"{text!r} is a file; name a folder")
    return path


def _shape(text: str) -> tuple[str, Shape]:
    name, separator, dims = text.rpartition("=")
    try:
        shape = tuple(int(dim) for dim in dims.split(",") if dim)
    except ValueError:
        shape, separator = (), ""
    if not separator or not name or min(shape, default=1) < 1:
        raise CompileError(
            f"{text!r} is no shape; write NAME=1,3,224,224, each 1 or more, or NAME= for a scalar"
        )
    return name, shape
