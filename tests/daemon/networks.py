"""Tiny ONNX networks, each with what it should answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from coexec.kernels import _kernels

Shape = list[int | str]


def save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, tuple[int, Shape]],
    outputs: dict[str, tuple[int, Shape]],
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
) -> Path:
    """Write one network; inputs and outputs: name -> (ONNX type, shape)."""
    infos = [
        [helper.make_tensor_value_info(name, *kind) for name, kind in side.items()]
        for side in (inputs, outputs)
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, path.stem, *infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def place(repository: Path, name: str, version: int = 1) -> Path:
    return repository / name / str(version) / "model.onnx"


def identity(path: Path, kind: int = TensorProto.FLOAT, shape: Shape | None = None) -> Path:
    dims: Shape = [1, 16] if shape is None else shape
    node = helper.make_node("Identity", ["x"], ["y"])
    return save(path, [node], {"x": (kind, dims)}, {"y": (kind, dims)})


def add(path: Path) -> Path:
    """sum = a + b, difference = a - b, as Triton's "simple" example."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    kind: tuple[int, Shape] = (TensorProto.INT32, [1, 16])
    return save(path, nodes, {"a": kind, "b": kind}, {"sum": kind, "difference": kind})


MLP_WEIGHTS = np.random.default_rng(1).standard_normal((2, 8, 8)).astype(np.float32)


def mlp(path: Path, batch: int | str = "n") -> Path:
    """Two layers; the batch is dynamic unless it is given."""
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "w2"], ["y"]),
    ]
    kind: tuple[int, Shape] = (TensorProto.FLOAT, [batch, 8])
    weights = {"w1": MLP_WEIGHTS[0], "w2": MLP_WEIGHTS[1]}
    return save(path, nodes, {"x": kind}, {"y": kind}, weights)


def mlp_answer(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    answer: np.ndarray[Any, Any] = np.maximum(x @ MLP_WEIGHTS[0], 0) @ MLP_WEIGHTS[1]
    return answer


def two_inputs(path: Path) -> Path:
    """y = a + b with one dynamic dim that both share."""
    node = helper.make_node("Add", ["a", "b"], ["y"])
    kind: tuple[int, Shape] = (TensorProto.FLOAT, ["n"])
    return save(path, [node], {"a": kind, "b": kind}, {"y": kind})


# What `slow` takes: more than goes in a message, and less work where the reference does it.
SLOW_SHAPE = (544, 32) if _kernels.host_isa() == "ref" else (512, 512)


def slow(path: Path, layers: int = 40) -> Path:
    """Takes a hundred milliseconds and more: a chain of dense matrix products. Each row of the
    result holds its input's mean, or 0; rows of equal whole numbers stay as they are exactly."""
    rows, width = SLOW_SHAPE
    w = np.full((width, width), 1 / width, np.float32)
    nodes = []
    for i in range(layers):
        nodes.append(helper.make_node("MatMul", [f"t{i}", "w"], [f"u{i}"]))
        nodes.append(helper.make_node("Relu", [f"u{i}"], [f"t{i + 1}"]))
    kind: tuple[int, Shape] = (TensorProto.FLOAT, [rows, width])
    return save(path, nodes, {"t0": kind}, {f"t{layers}": kind}, {"w": w})


def dense(path: Path, weights: np.ndarray[Any, Any]) -> Path:
    """y = x @ weights."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    rows, columns = weights.shape
    return save(
        path,
        [node],
        {"x": (TensorProto.FLOAT, [1, rows])},
        {"y": (TensorProto.FLOAT, [1, columns])},
        {"w": weights},
    )


def counting(path: Path) -> Path:
    """count = n, one by one: n says how long that takes."""
    number: tuple[int, Shape] = (TensorProto.INT64, [])
    steps = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Add", ["so_far", "one"], ["more"]),
    ]
    kinds = {"turn": TensorProto.INT64, "go": TensorProto.BOOL, "so_far": TensorProto.INT64}
    takes = [helper.make_tensor_value_info(name, kind, []) for name, kind in kinds.items()]
    kinds = {"go_on": TensorProto.BOOL, "more": TensorProto.INT64}
    gives = [helper.make_tensor_value_info(name, kind, []) for name, kind in kinds.items()]
    body = helper.make_graph(steps, "body", takes, gives)
    loop = helper.make_node("Loop", ["n", "", "zero"], ["count"], body=body)
    weights = {"zero": np.array(0), "one": np.array(1)}
    return save(path, [loop], {"n": number}, {"count": number}, weights)


def write_all(repository: Path) -> Path:
    identity(place(repository, "identity"))
    identity(place(repository, "any_shape"), shape=["n", "m"])
    for name, kind in (
        ("fp16", TensorProto.FLOAT16),
        ("bf16", TensorProto.BFLOAT16),
        ("bool", TensorProto.BOOL),
        ("int64", TensorProto.INT64),
        ("uint8", TensorProto.UINT8),
        ("strings", TensorProto.STRING),
    ):
        identity(place(repository, name), kind, [4])
    add(place(repository, "add"))
    mlp(place(repository, "mlp"))
    mlp(place(repository, "batched"))
    (repository / "batched" / "config.pbtxt").write_text(
        'max_batch_size: 4 output { name: "y" label_filename: "labels.txt" }'
    )
    (repository / "batched" / "labels.txt").write_text("zero\none\ntwo\n")
    two_inputs(place(repository, "two_inputs"))
    slow(place(repository, "slow"))
    for version in (1, 2):
        mlp(place(repository, "versions", version), version)
    (repository / "versions" / "config.pbtxt").write_text("version_policy { all {} }")
    return repository
