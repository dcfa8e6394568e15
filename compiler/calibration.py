"""Calibration inputs: what a model sees in use, for measuring what pruning costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coexec.compiler.errors import CompileError
from coexec.compiler.execute import runner_of
from coexec.compiler.ir import Array, Graph
from coexec.compiler.ir.graph import np_dtype
from coexec.compiler.passes import digest
from coexec.kernels.program.runner import Runner


def read_calibration(path: Path, graph: Graph) -> list[list[Array]]:
    """The examples in an .npz file that holds one array per input, by its name: one example of
    the input's shape, or several stacked along a first dim. Raises CompileError when they do
    not fit the graph."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise CompileError(f"{path}: not a readable .npz file: {error}") from None
    stacks = []
    for value in graph.inputs:
        array, type = arrays.get(value.name), value.type
        if array is None:
            raise CompileError(
                f"{path}: has no array named {value.name}; it has {', '.join(sorted(arrays))}"
            )
        if array.shape == type.shape:
            array = array[None]
        if array.shape[1:] != type.shape or array.dtype != np_dtype(type.dtype):
            raise CompileError(
                f"{path}: {value.name} is {array.dtype}{list(array.shape)}; the model takes "
                f"{type}, or several stacked along a first dim"
            )
        stacks.append(np.ascontiguousarray(array))
    if len({len(stack) for stack in stacks}) > 1:
        counts = ", ".join(f"{v.name} {len(s)}" for v, s in zip(graph.inputs, stacks, strict=True))
        raise CompileError(f"{path}: the inputs have different numbers of examples: {counts}")
    return [list(example) for example in zip(*stacks, strict=True)]


class GraphRunner:
    """Runs a graph by the kernels. Makes it ready again only when its digests have changed."""

    def __init__(self) -> None:
        self._key: list[bytes] = []
        self._runner: Runner | None = None

    def __call__(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs, in its order, for inputs in its order."""
        digest.run(graph)
        key = [value.digest for value in graph.outputs]
        if self._runner is None or key != self._key:
            self._runner, self._key = runner_of(graph), key
        names = [value.name for value in graph.inputs]
        results = self._runner.run(dict(zip(names, inputs, strict=True)))
        return [results[value.name] for value in graph.outputs]
