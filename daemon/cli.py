"""The root of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

# Every folder brings its own commands through register(subparsers). A command's parser sets
# `run`, a function from the parsed arguments to an exit status.
COMMANDS = (
    "coexec.compiler.cli",
    "coexec.daemon.serve",
    "coexec.clients.cli",
    "coexec.daemon.demo.cli",
)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coexec",
        description="Serve several pruned neural networks on one device.",
        epilog="example: coexec serve --model-repository models/",
    )
    parser.add_argument("--version", action="version", version=f"coexec {version('coexec')}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(name).register(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    given = make_parser().parse_args(arguments)
    status: int = given.run(given)
    return status
