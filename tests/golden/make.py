"""Write the golden model of this version: python tests/golden/make.py (once per release).

It holds what the format can express: dense, bcr and csr constants, native and ONNX Runtime
layers. Never rewrite the model of a released version: what it holds must load for ever.
"""

import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner


def network() -> onnx.ModelProto:
    """A convolution of strips, one of scattered zeros, a dense Gemm, and an op without a kernel."""
    rng = np.random.default_rng(7)
    strips = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    strips[:, rng.permutation(16)[:13]] = 0
    scattered = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    scattered[rng.random(scattered.shape) < 0.95] = 0
    weights = {
        "w0": rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "w1": strips,
        "w2": scattered,
        "w3": rng.standard_normal((10, 16)).astype(np.float32),
    }
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], **pads),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w1"], ["c"], **pads),
        helper.make_node("Conv", ["c", "w2"], ["d"], **pads),
        helper.make_node("Hardmax", ["d"], ["e"], axis=1),
        helper.make_node("Mul", ["d", "e"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "w3"], ["y"], transB=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 12, 12])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])
    stored = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "golden", [x], [y], stored)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=9)


def main() -> None:
    folder = Path(__file__).parent / metadata.version("coexec")
    target = folder / "golden.coexec"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "golden.onnx"
        onnx.save(network(), path)
        compile_model(path, target, CompileOptions())
    x = np.random.default_rng(8).standard_normal((1, 3, 12, 12)).astype(np.float32)
    np.savez(folder / "case.npz", x=x, **Runner(format.load(target)).run({"x": x}))


if __name__ == "__main__":
    main()
