"""An ONNX file with pruned weights, so that every runtime is given the very same zeros."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from coexec.compiler.native import Kernels
from coexec.compiler.onnx_import import import_model, prepare, read_model, signature_of
from coexec.compiler.partition import partition
from coexec.compiler.passes.weights import sparse_weights
from coexec.compiler.prune import parse_rule, prune


def write_pruned(path: Path, rules: Sequence[str], target: Path) -> None:
    """`path`'s network, pruned as `--prune` prunes, as the ONNX file `target`. Raises ValueError
    when a pruned weight is no initializer of the file, as it stands or transposed."""
    model = onnx.load(path)
    source = read_model(path)
    shapes = signature_of(source.model).bind(path.stem, {})
    graph = partition(import_model(prepare(source.model, shapes)), Kernels(), path.stem)
    if graph is None:
        raise ValueError(f"{path.name}: no layer is native, so there is nothing to prune")
    weights = {weight.value: weight.value.constant for weight in sparse_weights(graph)}
    prune(graph, [parse_rule(rule) for rule in rules])
    places = {_key(numpy_helper.to_array(t)): t for t in model.graph.initializer}
    for value, before in weights.items():
        after = value.constant
        if np.array_equal(before, after):
            continue
        if (tensor := places.get(_key(before))) is not None:
            tensor.CopyFrom(numpy_helper.from_array(after, tensor.name))
        elif (tensor := places.get(_key(before.T))) is not None:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(after.T), tensor.name))
        else:
            raise ValueError(f"{path.name}: a weight {before.shape} is not in the file")
    onnx.save(model, target)


def _key(array: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return array.shape, np.ascontiguousarray(array).tobytes()
