"""Self-attention as exporters write it, compiled and against ONNX Runtime, dense and with a fixed
mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from coexec.compiler.ir import Array
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

TOKENS, HEADS, SIZE = 70, 2, 24
WIDTH = HEADS * SIZE


def _mask(share: float) -> Array:
    """0 for the first row, the diagonal, two columns and a share of the rest; else -inf."""
    keep = np.random.default_rng(1).random((TOKENS, TOKENS)) < share
    keep[0] = keep[:, [3, 40]] = True
    np.fill_diagonal(keep, True)
    return np.where(keep, np.float32(0), np.float32(-np.inf)).astype(np.float32)


def _model(mask: Array | None) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, WIDTH**-0.5, (WIDTH, 3 * WIDTH)).astype(np.float32)
    constants: dict[str, Array] = {
        "weight": weight, "split": np.array([1, TOKENS, 3, HEADS, SIZE]),
        "scale": np.array(SIZE**-0.5, np.float32), "joined": np.array([1, TOKENS, WIDTH]),
        **{f"i{i}": np.array(i) for i in range(3)},
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "weight"], ["qkv"]),
        node("Reshape", ["qkv", "split"], ["parts"]),
        node("Transpose", ["parts"], ["turned"], perm=[2, 0, 3, 1, 4]),
        *(node("Gather", ["turned", f"i{i}"], ["qkv"[i]], axis=0) for i in range(3)),
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q", "kt"], ["products"]),
        node("Mul", ["products", "scale"], ["scores"]),
        node("Softmax", ["masked" if mask is not None else "scores"], ["p"], axis=-1),
        node("MatMul", ["p", "v"], ["heads"]),
        node("Transpose", ["heads"], ["tokens"], perm=[0, 2, 1, 3]),
        node("Reshape", ["tokens", "joined"], ["y"]),
    ]
    if mask is not None:
        constants["mask"] = mask[None, None]
        nodes.insert(9, node("Add", ["scores", "mask"], ["masked"]))
    shape = [1, TOKENS, WIDTH]
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize(("share", "layout"), [(None, "dense"), (0.5, "dense"), (0.05, "csr")])
def test_agrees_with_onnxruntime(tmp_path: Path, share: float | None, layout: str) -> None:
    model = _model(None if share is None else _mask(share))
    onnx.save(model, tmp_path / "m.onnx")
    report = compile_model(tmp_path / "m.onnx", tmp_path / "m.coexec", CompileOptions())
    assert report.description is not None
    layers = {layer.op: layer for layer in report.description.layers}
    assert set(layers) == {"Gemm", "Reshape", "Attention"}
    assert layers["Attention"].kernel.startswith(f"attention_f32_{layout}_")
    feed = {"x": np.random.default_rng(2).normal(0, 3, (1, TOKENS, WIDTH)).astype(np.float32)}
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)
    got = Runner(format.load(tmp_path / "m.coexec")).run(feed)["y"]
    np.testing.assert_allclose(got, np.asarray(expected), rtol=1e-4, atol=1e-5)
