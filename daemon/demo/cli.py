"""`coexec demo`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(subparsers: "Subparsers") -> None:
    """Add demo. It sets `run`, which takes the parsed options and returns the exit status."""
    parser = subparsers.add_parser(
        "demo",
        help="cameras and a microphone, five pruned networks, one daemon, measured",
        description="Serve the shipped networks from a daemon of its own, play four cameras and a "
        "microphone to it and, in turns, to plain ONNX Runtime sessions; check every answer "
        "against the truth the scenes were drawn from; report. Ends with status 1 if answers "
        "are wrong.",
        epilog="example:\n  coexec demo --seconds 30 --json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="of play per side (default: 10)"
    )
    parser.add_argument("--fps", type=float, default=30.0, metavar="N", help="of the cameras")
    parser.add_argument("--seed", type=int, default=7, help="of the scenes and sounds")
    parser.add_argument(
        "--output", type=Path, default=Path("demo-report"), metavar="DIR", help="for the pictures"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from .demo import run  # imports ONNX Runtime; other commands should not wait for it

    status: int = run(
        options.seconds, options.fps, options.seed, options.output, as_json=options.json
    )
    return status
