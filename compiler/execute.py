"""A graph, compiled as far as it is, ready to run in this process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from coexec.compiler.ir import Graph
from coexec.compiler.passes import digest
from coexec.compiler.program import to_program
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner


def runner_of(graph: Graph) -> Runner:
    """Sets the graph's digests. Raises UnsupportedLayerError or RunError when a layer cannot be
    made ready."""
    digest.run(graph)
    program, constants = to_program(graph, b"", {})
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "graph.coexec"
        format.save(program, constants, target)
        return Runner(format.load(target))  # which has mapped or packed what it needs
