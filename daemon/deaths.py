"""How an engine ended, and whose fault that was."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Death:
    """by_fault: of something the engine did. how: in words."""

    by_fault: bool
    how: str


def death_by_hanging(pid: int, why: str) -> Death:
    """Of an engine that still is there."""
    if _is_stopped(pid):
        return Death(False, f"it hung, stopped from outside: {why}")
    return Death(True, f"it hung: {why}")


def judge(code: int, out_of_memory: bool) -> Death:
    """code: as subprocess has it. out_of_memory: the kernel has killed for that meanwhile."""
    if code >= 0:
        return Death(code != 0, f"exit status {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if -code == signal.SIGKILL and out_of_memory:
        return Death(True, f"{name} by the kernel: out of memory")
    return Death(-code not in _FROM_OUTSIDE, name)


def out_of_memory_kills() -> int:
    """How often this machine's kernel has killed a process for memory."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _is_stopped(pid: int) -> bool:
    """By SIGSTOP, or by a debugger."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in ("T", "t")
