"""Calibration inputs: what a model sees in use, for measuring what pruning costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coexec.compiler.array_files import read_arrays
from coexec.compiler.errors import CompileError
from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, Graph
from coexec.compiler.ir.graph import np_dtype
from coexec.compiler.passes import digest
from coexec.kernels.program.runner import Runner


def read_calibration(path: Path, graph: Graph) -> list[list[Array]]:
    """The examples in an .npz file that holds one array per input, by its name: one example of
    the input's shape, or several stacked along a first dim; where the model's batch is 1, along
    that. Raises CompileError when they do not fit the graph."""
    arrays = read_arrays(path)
    stacks = []
    for value in graph.inputs:
        array, type = arrays.get(value.name), value.type
        if array is None:
            raise CompileError(
                f"{path}: has no array named {value.name!r}; it has "
                f"{', '.join(map(repr, sorted(arrays))) or 'none'}; write it with "
                f"np.savez(FILE, **{{{value.name!r}: examples}})"
            )
        stack = _stack(array, type.shape)
        if stack is None or array.dtype != np_dtype(type.dtype):
            raise CompileError(
                f"{path}: {value.name!r} is {array.dtype}{list(array.shape)}; one example is "
                f"{type}, and N of them are {np_dtype(type.dtype)}{_stacked(type.shape)}"
            )
        if not len(stack):
            raise CompileError(f"{path}: {value.name!r} holds no example")
        if np.issubdtype(stack.dtype, np.floating) and not np.isfinite(stack).all():
            raise CompileError(f"{path}: {value.name!r} holds infinities or NaNs")
        stacks.append(np.ascontiguousarray(stack))
    if len({len(stack) for stack in stacks}) > 1:
        counts = ", ".join(f"{v.name} {len(s)}" for v, s in zip(graph.inputs, stacks, strict=True))
        raise CompileError(f"{path}: the inputs have different numbers of examples: {counts}")
    # Iterating over a stack of scalars gives NumPy's scalars, which are no arrays.
    return [[np.asarray(array) for array in example] for example in zip(*stacks, strict=True)]


def _stack(array: Array, shape: tuple[int, ...]) -> Array | None:
    """The examples in an array, stacked along a first dim; None when they are of another shape."""
    if array.shape == shape:
        return array[None]
    if array.shape[1:] == shape:
        return array
    if shape[:1] == (1,) and array.ndim == len(shape) and array.shape[1:] == shape[1:]:
        return array[:, None]
    return None


def _stacked(shape: tuple[int, ...]) -> str:
    """In words, what N examples may be."""
    whole = ", ".join(["N", *map(str, shape)])
    return f"[{whole}]" + (
        f" or [{', '.join(['N', *map(str, shape[1:])])}]" if shape[:1] == (1,) else ""
    )


class GraphRunner:
    """Runs a graph by the kernels. Makes it ready again only when its digests have changed, or
    what its inputs and outputs are called: equal parts of one model have equal digests."""

    def __init__(self) -> None:
        self._key: list[tuple[str, bytes]] = []
        self._runner: Runner | None = None

    def __call__(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs, in its order, for inputs in its order."""
        digest.run(graph)
        key = [(value.name, value.digest) for value in (*graph.inputs, *graph.outputs)]
        if self._runner is None or key != self._key:
            self._runner, self._key = runner_of(graph), key
        names = [value.name for value in graph.inputs]
        results = self._runner.run(dict(zip(names, inputs, strict=True)))
        return [results[value.name] for value in graph.outputs]
