"""What the compiled module offers. Constants cross as flat, contiguous uint8 views."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
AttrValue = int | float | str | list[int] | list[float]

class UnsupportedLayerError(ValueError):
    """No kernel takes this layer; the text says why."""

class TensorType:
    """A dtype by its short name, a complete shape, and a layout: dense, bcr, csr or pattern."""

    def __init__(self, dtype: str, shape: list[int], layout: str = "dense") -> None: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def layout(self) -> str: ...
    @property
    def nbytes(self) -> int: ...

class MappedFile:
    """A file mapped read-only. Raises OSError when it cannot be opened."""

    def __init__(self, path: str) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def same(self, offset: int, other: MappedFile, other_offset: int, nbytes: int) -> bool:
        """Whether nbytes at offset equal those at other_offset of the other file."""
    def drop(self) -> None:
        """Let the operating system take back the pages read so far."""

class Constant:
    """A weight, and the packed forms that steps made of it. Steps given the same Constant
    share both."""

    @property
    def type(self) -> TensorType: ...
    @staticmethod
    def dense(type: TensorType, file: MappedFile, offset: int) -> Constant: ...
    @staticmethod
    def sparse(
        type: TensorType, file: MappedFile, values_offset: int, nonzeros: int, mask_offset: int
    ) -> Constant:
        """values: the non-zeros in row-major order; mask: a bit per element, lowest first."""
    @staticmethod
    def copied(type: TensorType, data: Bytes) -> Constant: ...

class Step:
    """A layer made ready to run. Raises UnsupportedLayerError when no kernel takes it."""

    def __init__(
        self,
        op: str,
        attrs: dict[str, AttrValue],
        inputs: list[TensorType],
        outputs: list[TensorType],
        constants: list[Constant | None],
    ) -> None:
        """An absent operand has the type TensorType("none", [])."""
    @property
    def kernel(self) -> str: ...
    def in_place(self, i: int) -> bool: ...
    def scratch_bytes(self, threads: int) -> int: ...

class Place:
    NONE: Place
    INPUT: Place
    OUTPUT: Place
    ARENA: Place
    CONSTANT: Place

class Operand:
    def __init__(self, place: Place, at: int = 0) -> None: ...

class SegmentStep:
    def __init__(
        self, name: str, step: Step, inputs: list[Operand], outputs: list[Operand]
    ) -> None: ...

class Segment:
    """A run of steps executed as one unit."""

    def __init__(
        self,
        inputs: list[TensorType],
        outputs: list[TensorType],
        constants: list[Constant],
        steps: list[SegmentStep],
        arena_bytes: int,
    ) -> None: ...
    @property
    def inputs(self) -> list[TensorType]: ...
    @property
    def outputs(self) -> list[TensorType]: ...
    @property
    def arena_bytes(self) -> int: ...
    @property
    def kernels(self) -> list[str]:
        """The kernel of each step."""
    @property
    def copied_bytes(self) -> list[int]:
        """What each step writes of its inputs in another order to read it again."""
    def products(self, threads: int) -> list[list[int]]:
        """Of each step, by thread: multiply-adds with stored weights in one run. Empty where the
        weights are dense, or the step does not say."""
    def workspace_bytes(self, threads: int) -> int: ...
    def run(self, inputs: list[Array], outputs: list[Array], team: Team) -> list[float]:
        """Run all steps into `outputs`. Arrays are row-major; what counts is their bytes. Returns
        the microseconds each step took."""

class SegmentRun:
    """Runs a segment on NumPy arrays and makes its outputs. An output's memory is taken again once
    nothing of what was made of it is left. Not thread-safe."""

    def __init__(
        self,
        segment: Segment,
        team: Team,
        inputs: list[tuple[Any, str]],
        outputs: Sequence[tuple[Any, Callable[[], Array]]],
    ) -> None:
        """inputs: a key each and the format of its elements in the words of Python's buffers, ""
        when these have none. outputs: a key each and what makes an array for it."""
    def run(self, inputs: Mapping[Any, Any]) -> dict[Any, Array] | None:
        """Arrays by key -> arrays by key. None, and nothing is run, unless there is just one for
        each input, of its format and shape, in row-major order."""
    def run_arrays(self, arrays: list[Array]) -> dict[Any, Array]:
        """Row-major arrays in the order of the inputs, of which the bytes count."""
    @property
    def step_us(self) -> list[float]:
        """Microseconds of each step in the last run."""

class Team:
    """Threads that work on a step together: the caller, and one pinned worker for each further
    core."""

    def __init__(self, cores: list[int]) -> None: ...
    @property
    def size(self) -> int: ...

def available_cores() -> list[int]: ...
def native_ops() -> list[str]: ...
def measured_peak_flops() -> float:
    """f32 operations per second one core does in registers alone; takes about 20 ms."""

def host_isa() -> str: ...
def host_isas() -> list[str]: ...
