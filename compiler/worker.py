"""Compiling in a process of its own: a crash or a runaway there costs its caller an error.

The request goes to the child's standard input, the answer comes back as JSON: what the child
read of a model it does not trust must not be able to run anything in the parent."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from coexec.compiler.errors import CompileError
from coexec.compiler.pipeline import CompileOptions, CompileReport, compile_model

_NICENESS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """seconds: until the child is killed. memory_bytes: of its address space."""

    seconds: float = 600.0
    memory_bytes: int = 32 << 30


def compile_apart(
    model: Path, target: Path, options: CompileOptions, limits: Limits | None = None
) -> CompileReport:
    """compile_model in a child process with limits and a lower priority. Raises CompileError
    with the child's reason, or with what became of the child."""
    limits = limits or Limits()
    request = pickle.dumps((model, target, options, limits))
    try:
        child = subprocess.run(
            [sys.executable, "-m", "coexec.compiler.worker"],
            input=request,
            capture_output=True,
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CompileError(
            f"{model.name}: compiling took more than {limits.seconds:g} s and was stopped"
        ) from None
    try:
        answer = json.loads(child.stdout)
    except ValueError:
        raise CompileError(_died(model, child, limits.memory_bytes)) from None
    if "error" in answer:
        raise CompileError(answer["error"])
    return CompileReport.from_json(answer)


def _died(model: Path, child: subprocess.CompletedProcess[bytes], memory_bytes: int) -> str:
    if child.returncode < 0:
        how = f"died of signal {signal.Signals(-child.returncode).name}"
    else:
        how = f"ended with status {child.returncode}"
    last = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
    said = last[0][:300] if last else "it said nothing"
    return f"{model.name}: the compiler {how} ({said}); it may use {memory_bytes} bytes of memory"


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
        answer = asdict(compile_model(model, target, options))
    except CompileError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"{model.name}: compiling takes more than {allowed} bytes of memory"}
    except Exception as error:  # our mistake; its text is all the caller can use
        answer = {"error": f"{model.name}: internal error, {type(error).__name__}: {error}"}
    with os.fdopen(answer_to, "w") as stream:
        json.dump(answer, stream, default=str)


if __name__ == "__main__":
    _main()
