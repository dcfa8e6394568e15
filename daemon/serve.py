"""`coexec serve`."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

# mallopt's parameters, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_BYTES = 64 << 20

_EXAMPLE = """example:
  coexec serve --model-repository models/ --listen unix:/tmp/coexec.sock --http 127.0.0.1:8002

ADDR is unix:PATH or HOST:PORT. Without --listen the daemon listens on a Unix socket that only
its user may open. Every option can also stand in a TOML file, under the same name."""


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="run the daemon",
        description="Serve the models of a repository until SIGTERM.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help="settings in TOML; options given here win")
    add("--model-repository", metavar="DIR", action="append", help="where models lie; repeatable")
    add("--model-control", choices=("all", "explicit"), help="what to load at the start")
    add("--listen", metavar="ADDR", action="append", help="where to serve gRPC; repeatable")
    add("--http", metavar="HOST:PORT", help="where to serve /metrics; off without it")
    add("--state-dir", metavar="DIR", help="compiled models, and what is loaded")
    add("--no-reuse", dest="reuse", action="store_false", help="compute every request by itself")
    add("--cores", metavar="LIST", help='cores of each lane, as in "0-1;2"; all without it')
    _add_limits(parser)
    _add_tls_and_logs(parser)
    parser.set_defaults(run=run)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = {
        "--onnxruntime-lanes": "lanes for what only ONNX Runtime can run",
        "--quantum-us": "how long a step may keep others waiting",
        "--queue-len-max": "requests waiting per segment",
        "--in-flight-max": "requests in flight altogether",
        "--message-bytes-max": "bytes of one message",
        "--input-bytes-max": "memory for inputs of requests in flight",
        "--output-bytes-max": "memory for results not yet sent",
        "--cache-bytes-max": "compiled models kept on disk",
        "--compile-seconds-max": "time of one compilation",
        "--compile-bytes-max": "memory of one compilation",
        "--hang-seconds": "without progress, and the engine is started again; 0: never",
        "--drain-seconds": "time for what is in flight at the end",
    }
    for name, text in limits.items():
        parser.add_argument(name, metavar="N", type=_whole, help=text)


def _whole(text: str) -> int:
    """What fits is for the settings to say."""
    if not text.removeprefix("-").isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def _add_tls_and_logs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tls-certificate", metavar="FILE", help="PEM; with --tls-key")
    parser.add_argument("--tls-key", metavar="FILE", help="PEM")
    parser.add_argument("--tls-client-ca", metavar="FILE", help="ask clients for certificates")
    parser.add_argument("--log-json", action="store_true", help="one JSON object per line")
    parser.add_argument("--log-verbose", metavar="N", type=_whole, help="1: debug messages too")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT: 0. 1 when the daemon cannot start; stderr says why."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would log, we say
    # Imported here: the other commands do not need a daemon.
    from coexec.daemon.listen import ListenError
    from coexec.daemon.logs import Logs
    from coexec.daemon.server import Daemon
    from coexec.daemon.settings import SettingsError, merge, read_settings
    from coexec.daemon.state import StateError

    given = vars(arguments).items()
    options: dict[str, Any] = {k: v for k, v in given if k not in ("run", "config")}
    try:
        file = read_settings(Path(arguments.config)) if "config" in arguments else {}
        settings = merge(file, options)
        logs = Logs(Path(settings.state_dir) / "logs", settings.log_json)
        logs.change({"log_verbose_level": settings.log_verbose})
        _keep_freed_memory()

        async def serve() -> None:
            await Daemon(settings, logs).run()

        asyncio.run(serve())
    except (ListenError, SettingsError, StateError) as error:
        print(f"coexec serve: {error}", file=sys.stderr)
        return 1
    return 0


def _keep_freed_memory() -> None:
    """Keep the allocator from returning a message's memory after each request and faulting it
    in again at the next: half of a large message's time. Unloading trims explicitly."""
    if hasattr(os, "uname") and os.uname().sysname == "Linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES // 2)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
