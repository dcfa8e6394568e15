"""python -m coexec.scheduler.engine: the process that computes. The daemon starts it."""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import sys

from coexec.kernels._kernels import available_cores
from coexec.scheduler import _core
from coexec.scheduler.engine.manager import Manager
from coexec.scheduler.engine.server import Server

_PR_SET_PDEATHSIG = 1
# Python code here is control only; a lane that calls ONNX Runtime should not wait for it long.
_SWITCH_INTERVAL_S = 0.0005


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="coexec.scheduler.engine", description=__doc__)
    parser.add_argument("--control", type=int, required=True, help="descriptor of a socket")
    parser.add_argument("--channel", required=True, help="descriptors of the channel, by commas")
    parser.add_argument("--parent", type=int, required=True, help="process to end with")
    parser.add_argument("--lanes", default="", help="cores by commas, lanes by semicolons")
    parser.add_argument("--onnxruntime-lanes", type=int, default=1)
    parser.add_argument("--quantum-us", type=int, default=2000)
    parser.add_argument("--queue-len-max", type=int, default=256)
    parser.add_argument("--no-reuse", action="store_true")
    return parser.parse_args(arguments)


def _lanes(text: str) -> list[list[int]]:
    if not text:
        return [[core] for core in available_cores()]
    return [[int(core) for core in lane.split(",")] for lane in text.split(";")]


def _end_with(parent: int) -> None:
    """Have the kernel end this process when the daemon ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call above
        sys.exit(1)


def main() -> None:
    options = _parse(sys.argv[1:])
    _end_with(options.parent)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # A terminal's Ctrl-C and a service manager's SIGTERM reach the whole group; the daemon
    # decides when the engine ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    engine = _core.Engine(
        [int(fd) for fd in options.channel.split(",")],
        _lanes(options.lanes),
        options.onnxruntime_lanes,
        reuse=not options.no_reuse,
        quantum_us=options.quantum_us,
        queue_len_max=options.queue_len_max,
    )
    control = socket.socket(fileno=options.control)
    try:
        asyncio.run(Server(Manager(engine, options.quantum_us)).serve(control))
    finally:
        engine.stop()
    # Workers may still be packing weights for a daemon that is gone.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
