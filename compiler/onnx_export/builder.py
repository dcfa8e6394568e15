"""What a graph under export grows in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from coexec.compiler.ir import Array

# Operands and results by name, "" where absent.
Names = Sequence[str]


class Nodes:
    """Nodes and constants of one graph. Names made for a layer begin with its prefix."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.prefix = ""
        self._count = 0

    def fresh(self) -> str:
        self._count += 1
        return f"{self.prefix}{self._count}"

    def add(self, op: str, inputs: Names, outputs: Names | None = None, **attrs: Any) -> str:
        """Returns the name of the first result; one is made up when none is given."""
        outputs = [self.fresh()] if outputs is None else outputs
        node = helper.make_node(op, inputs, outputs, name=self.fresh(), **attrs)
        self.nodes.append(node)
        return outputs[0]

    def constant(self, array: Array) -> str:
        name = self.fresh()
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, values: Iterable[int]) -> str:
        return self.constant(np.asarray(list(values), np.int64))
