"""Compiling in a process of its own: a model that breaks the compiler breaks nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version as package_version
from pathlib import Path

from coexec.compiler.apart import CompileRequest, CompileServer, Limits, Outcome
from coexec.compiler.errors import CompileError
from coexec.compiler.signature import Signature, TensorSpec
from coexec.compiler.tune.cache import content as tuning_content
from coexec.daemon.errors import invalid
from coexec.kernels import _kernels
from coexec.kernels.program import format
from coexec.kernels.program.errors import FormatError
from coexec.protos import program_pb2


@dataclass(slots=True, eq=False)
class Compiler:
    """A bounded number of compilations at once. tuning: the folder of measurements, which are
    used; nothing is measured but for models that ask for it."""

    limits: Limits
    tuning: Path
    server: CompileServer = field(default_factory=CompileServer)
    at_once: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(max(1, len(os.sched_getaffinity(0)) // 2))
    )

    @property
    def measurements(self) -> str:
        """A digest of what is measured by now."""
        return tuning_content(self.tuning)

    def identity(self, measurements: str) -> str:
        """What a compiled model depends on besides its source: our version, the machine, since
        kernels are chosen for it, and what was measured on it."""
        return f"{package_version('coexec')} {format.FORMAT_VERSION} {_cpu()} {measurements}"

    async def compile(
        self,
        name: str,
        source: Path,
        target: Path,
        shapes: Mapping[str, tuple[int, ...]],
        options: Mapping[str, str],
    ) -> Outcome:
        """Raises RequestError with the compiler's words."""
        rules = options.get("prune", "").split()
        tune = options.get("tune", "")
        request = CompileRequest(source, target, name, shapes, rules, tune, self.tuning)
        try:
            async with self.at_once:
                return await self.server.compile(request, self.limits)
        except CompileError as error:
            raise invalid(f"failed to load '{name}': {error}") from None


def _cpu() -> str:
    """The machine as far as kernels care: what it has, and what they use of it (COEXEC_ISA)."""
    machine = f"{platform.machine()} {_kernels.host_isa()}"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return machine
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{machine} {hashlib.sha256(flags.encode()).hexdigest()[:16]}"


def read_compiled_signature(name: str, path: Path) -> Signature:
    """What a compiled model takes and gives. Raises RequestError when it cannot be read."""
    try:
        program = format.load(path).program
    except FormatError as error:
        raise invalid(f"failed to load '{name}': {error}") from None

    def specs(indices: Iterable[int]) -> tuple[TensorSpec, ...]:
        return tuple(_spec(program.tensors[i]) for i in indices)

    return Signature(specs(program.inputs), specs(program.outputs))


def _spec(tensor: program_pb2.Tensor) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.type.dtype, tuple(tensor.type.shape))
