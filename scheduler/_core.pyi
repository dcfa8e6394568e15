"""The engine core: rings, slots, queues, lanes, policy.

Two sides. The daemon makes a Channel and starts the engine process with its descriptors; the
engine process attaches to it and runs an Engine. Times are CLOCK_MONOTONIC microseconds.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import numpy.typing as npt

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
    ) -> None: ...
    # How segments, programs, snapshots and timelines cross into the core is between
    # scheduler/engine/ and scheduler/bindings/.
