"""Compiling in processes of their own: what breaks the compiler breaks nothing else.

A server process imports the compiler once and forks for every request, so that a request takes
the time of compiling and no more. It ends by itself when it has long had nothing to do. Requests
and answers are JSON: what a child read of a model it does not trust must not be able to run
anything in the parent. This module imports nothing of the compiler that is large."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from coexec.compiler.errors import CompileError
from coexec.compiler.signature import Shape, Signature, signature_from_json

_COMMAND = (sys.executable, "-m", "coexec.compiler.worker")
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """seconds: until a compilation is stopped. memory_bytes: of its address space."""

    seconds: float = 600.0
    memory_bytes: int = 32 << 30


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """What compile_model takes, in plain words. prune: rules as on the command line. tune: an
    effort, "" for none. tuning: the folder of measurements."""

    model: Path
    target: Path
    name: str = ""
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    prune: Sequence[str] = ()
    tune: str = ""
    tuning: Path | None = None

    def to_json(self, limits: Limits) -> bytes:
        facts = asdict(self) | {"memory_bytes": limits.memory_bytes}
        return json.dumps(facts, default=str).encode()


@dataclass(frozen=True, slots=True)
class Outcome:
    """signature: of the model, when no shapes were given. report: compile_model's, as JSON; None
    when the model needs shapes for its dynamic dimensions and was given none."""

    signature: Signature | None
    report: dict[str, Any] | None


class CompileServer:
    """Starts the server process when it is needed. One event loop owns it."""

    def __init__(self, command: Sequence[str] = _COMMAND) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def compile(self, request: CompileRequest, limits: Limits) -> Outcome:
        """compile_model with limits and a lower priority; stopped when the caller is cancelled.
        Raises CompileError with the compiler's reason, or with what became of it."""
        name = request.model.name
        try:
            async with asyncio.timeout(limits.seconds):
                # An idle server may end in the moment it is asked.
                answer = await self._ask(request, limits) or await self._ask(request, limits)
        except TimeoutError:
            raise CompileError(
                f"{name}: compiling took more than {limits.seconds:g} s and was stopped"
            ) from None
        if "died" in answer:
            raise CompileError(
                f"{name}: the compiler {answer['died']}; it may use {limits.memory_bytes} bytes "
                "of memory"
            )
        if "error" in answer:
            raise CompileError(answer["error"])
        if not answer:
            raise CompileError(f"{name}: the compiler's process ends as soon as it is started")
        signature = answer["signature"]
        return Outcome(
            None if signature is None else signature_from_json(signature), answer["report"]
        )

    def close(self) -> None:
        """End the server and what it compiles."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._control = None

    async def _ask(self, request: CompileRequest, limits: Limits) -> dict[str, Any]:
        """The answer; empty when the server has ended. It is not asked again then."""
        control = self._running()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(control, [request.to_json(limits)], [theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                ours.close()
                self._forget(control)
                return {}
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        try:
            answer = await reader.read()
        finally:
            writer.close()  # stops the compilation, if it still runs
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        with contextlib.suppress(ValueError):
            facts: dict[str, Any] = json.loads(answer)
            return facts
        if answer:
            return {"died": "left half an answer"}
        self._forget(control)
        return {}

    def _forget(self, control: socket.socket) -> None:
        """The server behind `control` has ended or is about to. What its workers still compile
        for others goes on."""
        if control is self._control and self._process is not None:
            self._process.kill()
            self.close()

    def _running(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self.close()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(_STOP_S)
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for the parent to act on
            )
        return self._control
