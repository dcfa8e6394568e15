"""The root of the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

# Every folder brings its own commands through register(subparsers). A command's parser sets
# `run`, a function from the parsed arguments to an exit status.
COMMANDS = {
    "coexec.compiler.cli": ("compile", "inspect", "bench", "tune"),
    "coexec.daemon.serve": ("serve",),
    "coexec.clients.cli": (
        "models", "load", "unload", "infer", "stats", "top", "reuse", "timeline",
    ),
    "coexec.daemon.demo.cli": ("demo",),
}  # fmt: skip
_WITHOUT_KERNELS = COMMANDS["coexec.clients.cli"]


def make_parser(command: str = "") -> argparse.ArgumentParser:
    """A parser for all commands, or for those of one folder only: what a command does not need
    is not imported, above all the compiler."""
    parser = argparse.ArgumentParser(
        prog="coexec",
        description="Serve several pruned neural networks on one device.",
        epilog="example: coexec serve --model-repository models/",
    )
    parser.add_argument("--version", action="version", version=f"coexec {version('coexec')}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    of_one = [module for module, commands in COMMANDS.items() if command in commands]
    for module in of_one or COMMANDS:
        import_module(module).register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status, 130 when it was interrupted."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return 130


def _run(words: Sequence[str]) -> int:
    command = words[0] if words else ""
    if command not in _WITHOUT_KERNELS and (refused := _refused_isa()):
        print(f"coexec: {refused}", file=sys.stderr)
        return 1
    given = make_parser(command).parse_args(words)
    status: int = given.run(given)
    return status


def _refused_isa() -> str:
    """Why COEXEC_ISA cannot be; kernels are loaded to ask only where it is set."""
    if os.environ.get("COEXEC_ISA"):
        try:
            import_module("coexec.kernels._kernels").host_isa()
        except ValueError as error:
            return str(error)
    return ""
