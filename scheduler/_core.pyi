"""The engine core: rings, slots, queues, lanes, policy.

Two sides. The daemon makes a Channel and starts the engine process with its descriptors; the
engine process attaches to it and runs an Engine. Times are CLOCK_MONOTONIC microseconds.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from coexec.kernels._kernels import Segment

Bytes = npt.NDArray[np.uint8]

class SlotsFullError(RuntimeError):
    """No slot of that size is free; the text gives the sizes."""

class RingFullError(RuntimeError):
    """The engine has not yet taken the requests before this one."""

class ChannelCorruptError(RuntimeError):
    """The engine wrote what is no record; it must be restarted."""

@final
class Slot:
    """Shared memory for one input tensor, owned by the daemon. Freed when the last reference
    goes, requests in flight included."""

    @property
    def nbytes(self) -> int: ...
    @property
    def array(self) -> Bytes:
        """A writable view of the memory; it keeps the slot."""

@final
class Input:
    def __init__(self, slot: Slot, dtype: str, shape: Sequence[int]) -> None: ...

@final
class Output:
    """A result in shared memory. Its memory is given back when the last view of it goes."""

    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def array(self) -> Bytes:
        """A read-only flat view. dtype "string": each element as uint32 length, then bytes."""

@final
class Reply:
    @property
    def request_id(self) -> int: ...
    @property
    def code(self) -> int:
        """A gRPC status code; 0: outputs are valid."""
    @property
    def message(self) -> str: ...
    @property
    def outputs(self) -> list[Output]:
        """In the order of the program's outputs."""
    @property
    def queue_us(self) -> int:
        """From submission to the start of the first job."""
    @property
    def compute_us(self) -> int:
        """From there to the end of the last."""
    @property
    def shared_jobs(self) -> int:
        """Jobs of this request that another request's run answered."""
    @property
    def saved_us(self) -> int: ...

@final
class Channel:
    """The daemon's end. Not thread-safe: one event loop owns it."""

    def __init__(self, slot_bytes: int, reply_bytes: int, ring_bytes: int) -> None:
        """slot_bytes, reply_bytes: address space for inputs and outputs, taken from the
        operating system as it is used and given back when idle."""
    def engine_fds(self) -> list[int]:
        """The descriptors to pass to the engine process, in the order Engine takes them."""
    def allocate(self, nbytes: int) -> Slot:
        """Raises SlotsFullError."""
    def submit(
        self,
        request_id: int,
        program_id: int,
        inputs: Sequence[Input],
        *,
        deadline_us: int = 0,
        priority: int = 0,
        scope: int = 0,
    ) -> None:
        """inputs follow the program's inputs. deadline_us 0: best effort. priority 1 (highest)
        to 2**32 - 1; 0: default. Requests share computed values only within one scope.
        Two inputs made from one Slot are one value. Raises RingFullError."""
    def cancel(self, request_id: int) -> None: ...
    def fileno(self) -> int:
        """Readable when replies wait."""
    def poll(self) -> list[Reply]:
        """All replies that wait; never blocks. Raises ChannelCorruptError."""
    def reset(self) -> None:
        """Forget the engine that was attached: new rings and reply memory. Slots stay, so that
        what was in flight can be submitted again. Outputs of old replies stay readable."""

NEVER: int
"""Later than any time."""

class Class(enum.Enum):
    REAL_TIME = ...
    DEADLINE = ...
    BEST_EFFORT = ...

class LaneKind(enum.Enum):
    CPU = ...
    ONNXRUNTIME = ...

class ActionKind(enum.Enum):
    DROP = ...
    LAUNCH = ...
    HELP = ...
    PREEMPT = ...

@final
class JobView:
    """What the policy sees of a job; scheduler/core/policy.h says what the fields mean."""

    def __init__(
        self,
        id: int,
        *,
        job_class: Class = ...,
        kind: LaneKind = ...,
        priority: int = 0,
        deadline_us: int = ...,
        expires_us: int = ...,
        cost_us: int = 0,
        arrival_us: int = 0,
    ) -> None: ...
    @property
    def id(self) -> int: ...
    @property
    def job_class(self) -> Class: ...
    @property
    def kind(self) -> LaneKind: ...
    @property
    def cost_us(self) -> int: ...

@final
class RunningView:
    def __init__(self, job: JobView, lane: int, started_us: int) -> None: ...

@final
class LaneView:
    def __init__(self, id: int, kind: LaneKind = ...) -> None: ...

@final
class Action:
    @property
    def kind(self) -> ActionKind: ...
    @property
    def job(self) -> int: ...
    @property
    def lane(self) -> int: ...
    @property
    def reason(self) -> str: ...

def decide(
    now_us: int,
    ready: Sequence[JobView],
    running: Sequence[RunningView],
    free_lanes: Sequence[LaneView],
    *,
    quantum_us: int = 2000,
    contended_us: int = 0,
    best_effort_us: int = 0,
    best_effort_percent: int = 5,
) -> list[Action]:
    """The policy: a pure function."""

def now_us() -> int:
    """The engine's clock, CLOCK_MONOTONIC."""

@final
class LaneStats:
    @property
    def name(self) -> str: ...
    @property
    def cores(self) -> list[int]: ...
    @property
    def busy_us(self) -> int: ...
    @property
    def segments_run(self) -> int: ...
    @property
    def steps_run(self) -> int: ...

@final
class ProgramStats:
    """Counters over all versions of a program's plan."""

    @property
    def requests(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def expired(self) -> int: ...
    @property
    def cancelled(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def deadlines(self) -> int: ...
    @property
    def deadlines_missed(self) -> int: ...
    @property
    def queue_len(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def jobs_shared(self) -> int: ...
    @property
    def saved_us(self) -> int: ...

@final
class ProgramSnapshot:
    @property
    def id(self) -> int: ...
    @property
    def model(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def stats(self) -> ProgramStats: ...

@final
class LaneProgress:
    """The step a lane is at. (job, step) differs once it has got on."""

    @property
    def lane(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def job(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def expected_us(self) -> float: ...
    @property
    def programs(self) -> list[int]:
        """Whose requests have asked for the job."""

@final
class SegmentStats:
    @property
    def runs(self) -> int: ...
    @property
    def hits(self) -> int: ...
    @property
    def saved_us(self) -> int: ...
    @property
    def step_us(self) -> list[float]:
        """What each step costs, as far as known."""

@final
class LaneSpan:
    """One step that ran."""

    @property
    def lane(self) -> str: ...
    @property
    def start_us(self) -> int: ...
    @property
    def duration_us(self) -> int: ...
    @property
    def model(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def request_id(self) -> int: ...
    @property
    def shared_by(self) -> int: ...

@final
class QueuedSegment:
    """A segment and its queue."""

    @property
    def digest(self) -> str: ...
    @property
    def workspace_bytes(self) -> int: ...

@final
class Program:
    """A graph of segments. A source is (segment, place): place counts the segment's outputs,
    or the program's inputs where segment is -1. Raises ValueError when one is out of place."""

    def __init__(
        self,
        id: int,
        model: str,
        version: str,
        objective_us: int,
        queue_len_max: int,
        inputs: Sequence[tuple[str, Sequence[int]]],
        segments: Sequence[tuple[QueuedSegment, Sequence[tuple[int, int]]]],
        outputs: Sequence[tuple[int, int]],
        previous: Program | None,
    ) -> None:
        """previous: the program this one replaces, whose counters it goes on with."""
    @property
    def id(self) -> int: ...

@final
class Engine:
    """The engine's end: lanes, queues, values. Its threads start at once."""

    def __init__(
        self,
        fds: Sequence[int],
        lanes: Sequence[Sequence[int]],
        onnxruntime_lanes: int = 1,
        *,
        reuse: bool = True,
        quantum_us: int = 2000,
        queue_len_max: int = 256,
        best_effort_percent: int = 5,
    ) -> None:
        """fds: as Channel.engine_fds gave them; they are taken over."""
    def stop(self) -> None:
        """Join the threads; nothing else may be called afterwards."""
    def native_segment(
        self,
        digest: str,
        model: str,
        names: Sequence[str],
        segment: Segment,
        step_us: Sequence[float],
    ) -> QueuedSegment: ...
    def external_segment(
        self, digest: str, model: str, name: str, run: Callable[..., Any], cost_us: float
    ) -> QueuedSegment:
        """run takes and returns lists of (dtype, shape, flat uint8 array)."""
    def add_program(self, program: Program) -> None:
        """New requests use it; those in flight finish on the one it replaces."""
    def remove_program(self, program_id: int) -> None: ...
    def wait_idle(self, program: Program) -> None:
        """Block until no request of the program is in flight."""
    def drop_retired(self) -> int:
        """Let go of replaced and removed programs that no request uses; how many still are."""
    def trim(self) -> None:
        """Give idle memory back to the operating system."""
    def lane_stats(self) -> list[LaneStats]: ...
    def progress(self) -> list[LaneProgress]:
        """Of the lanes that compute."""
    def program_stats(self) -> list[ProgramSnapshot]: ...
    def segment_stats(self, segment: QueuedSegment) -> SegmentStats: ...
    def spans(self, from_us: int) -> list[LaneSpan]: ...
    @property
    def replies_full(self) -> int: ...
    @property
    def ring_full(self) -> int: ...
    def broken_fd(self) -> int:
        """Readable once the request ring held garbage."""
