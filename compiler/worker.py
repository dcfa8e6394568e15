"""python -m coexec.compiler.worker DESCRIPTOR: the server of apart.py.

For every request it forks a minder, and that forks the worker. The worker compiles; the minder
tells the caller how it died, and kills it when the caller has gone."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

import coexec.compiler.onnx_import.optimise  # noqa: F401  every worker has it then
from coexec.compiler.errors import CompileError, ShapeNeededError
from coexec.compiler.onnx_import.signature import read_signature
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import parse_rule
from coexec.compiler.tune import checked_effort

_NICENESS = 10
_REQUEST_BYTES_MAX = 1 << 20
_IDLE_S = 120.0
_SAID_CHARACTERS_MAX = 300


def serve(control: socket.socket) -> None:
    """Until the parent closes its end, or nothing has come for long."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # minders are nobody's to wait for
    control.settimeout(_IDLE_S)
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, _REQUEST_BYTES_MAX, 1)
        except TimeoutError:
            return
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _mind(json.loads(message), socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])


def _mind(request: dict[str, Any], caller: socket.socket) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    alive, held = os.pipe()  # `alive` ends with the worker
    with tempfile.TemporaryFile() as said:
        worker = os.fork()
        if worker == 0:
            os.close(alive)
            _work(request, caller, said)
        os.close(held)
        ready, _, _ = select.select([alive, caller.fileno()], [], [])
        if alive not in ready:
            os.kill(worker, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        if status != 0 and alive in ready:
            caller.sendall(json.dumps({"died": _how(status, said)}).encode())
    os._exit(0)


def _how(status: int, said: IO[bytes]) -> str:
    how = f"ended with status {status}"
    if status < 0:
        how = f"died of signal {signal.Signals(-status).name}"
    said.seek(0)
    last = said.read().decode(errors="replace").strip().splitlines()[-1:]
    return f"{how} ({last[0][:_SAID_CHARACTERS_MAX] if last else 'it said nothing'})"


def _work(request: dict[str, Any], caller: socket.socket, said: IO[bytes]) -> NoReturn:
    status = 1
    try:
        # Libraries may print; only the answer goes to the caller.
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        os.nice(_NICENESS)
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        wanted = request["memory_bytes"]
        allowed = wanted if most < 0 else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        caller.sendall(json.dumps(answer(request), default=str).encode())
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """An Outcome for JSON, or the reason against it."""
    model = Path(request["model"])
    try:
        return _compile(model, request)
    except CompileError as error:
        return {"error": str(error)}
    except MemoryError:
        limit = request["memory_bytes"]
        return {"error": f"{model.name}: compiling takes more than {limit} bytes of memory"}
    except Exception as error:  # our mistake; its text is all the caller can use
        return {"error": f"{model.name}: internal error, {type(error).__name__}: {error}"}


def _compile(model: Path, request: dict[str, Any]) -> dict[str, Any]:
    shapes = {name: tuple(shape) for name, shape in request["shapes"].items()}
    rules = [parse_rule(text) for text in request["prune"]]
    options = CompileOptions(
        name=request["name"],
        shapes=shapes,
        prune=rules,
        tune=checked_effort(request["tune"]),
        tuning=Path(request["tuning"]) if request["tuning"] else None,
    )
    signature = None if shapes else asdict(read_signature(model))
    try:
        report = asdict(compile_model(model, Path(request["target"]), options))
    except ShapeNeededError:
        report = None
    return {"signature": signature, "report": report}


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
