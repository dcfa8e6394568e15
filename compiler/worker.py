"""Compiling in a process of its own: a crash or a runaway there costs its caller an error.

The request goes to the child's standard input, the answer comes back as JSON: what the child
read of a model it does not trust must not be able to run anything in the parent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coexec.compiler.errors import CompileError, ShapeNeededError
from coexec.compiler.onnx_import.signature import Signature, TensorSpec, read_signature
from coexec.compiler.pipeline import CompileOptions, CompileReport, compile_model

_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """seconds: until the child is killed. memory_bytes: of its address space."""

    seconds: float = 600.0
    memory_bytes: int = 32 << 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """signature: of the model, when no shapes were given. report: None when it needs shapes for
    its dynamic dimensions and was given none."""

    signature: Signature | None
    report: CompileReport | None


async def compile_apart(
    model: Path, target: Path, options: CompileOptions, limits: Limits | None = None
) -> Outcome:
    """compile_model in a child process with limits and a lower priority; the child is killed when
    the caller is cancelled. Raises CompileError with the child's reason, or with what became of
    the child."""
    limits = limits or Limits()
    request = pickle.dumps((model, target, options, limits))
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "coexec.compiler.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limits.seconds):
            stdout, stderr = await child.communicate(request)
    except TimeoutError:
        raise CompileError(
            f"{model.name}: compiling took more than {limits.seconds:g} s and was stopped"
        ) from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    try:
        answer = json.loads(stdout)
    except ValueError:
        raise CompileError(_died(model, child.returncode or 0, stderr, limits)) from None
    if "error" in answer:
        raise CompileError(answer["error"])
    signature, report = answer["signature"], answer["report"]
    return Outcome(
        None if signature is None else parse_signature(signature),
        None if report is None else CompileReport.from_json(report),
    )


def parse_signature(facts: dict[str, Any]) -> Signature:
    """A signature that was written with dataclasses.asdict and JSON."""

    def specs(rows: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                row["name"],
                row["dtype"],
                None if row["shape"] is None else tuple(row["shape"]),
                tuple(row["symbols"]),
            )
            for row in rows
        )

    return Signature(specs(facts["inputs"]), specs(facts["outputs"]))


def _died(model: Path, status: int, stderr: bytes, limits: Limits) -> str:
    if status < 0:
        how = f"died of signal {signal.Signals(-status).name}"
    else:
        how = f"ended with status {status}"
    last = stderr.decode(errors="replace").strip().splitlines()[-1:]
    said = last[0][:300] if last else "it said nothing"
    return (
        f"{model.name}: the compiler {how} ({said}); it may use {limits.memory_bytes} bytes of "
        "memory"
    )


def _main() -> None:
    # Libraries may print; only the answer may go to the pipe.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    model, target, options, limits = pickle.load(sys.stdin.buffer)
    os.nice(_NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = limits.memory_bytes if most < 0 else min(limits.memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = _compile(model, target, options)
    except CompileError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"{model.name}: compiling takes more than {allowed} bytes of memory"}
    except Exception as error:  # our mistake; its text is all the caller can use
        answer = {"error": f"{model.name}: internal error, {type(error).__name__}: {error}"}
    with os.fdopen(answer_to, "w") as stream:
        json.dump(answer, stream, default=str)


def _compile(model: Path, target: Path, options: CompileOptions) -> dict[str, Any]:
    """An Outcome for JSON."""
    signature = None if options.shapes else asdict(read_signature(model))
    try:
        report = asdict(compile_model(model, target, options))
    except ShapeNeededError:
        report = None
    return {"signature": signature, "report": report}


if __name__ == "__main__":
    _main()
