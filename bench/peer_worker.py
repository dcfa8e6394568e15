"""One runtime in a process of its own: prepares a network, then runs it once per line of input.

    python bench/peer_worker.py RUNTIME MODEL.onnx INPUTS.npz OUTPUTS.npz

Runs in the runtime's own environment, so it imports nothing of this project before it knows that
the runtime is coexec. Writes "ready" once OUTPUTS.npz holds the outputs of one run, then for each
line read the milliseconds of one run. One thread.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Feed = dict[str, np.ndarray]
Run = Callable[[], list[np.ndarray]]


def coexec(path: Path, feed: Feed) -> Run:
    from coexec.compiler.pipeline import CompileOptions, compile_model
    from coexec.kernels.program import format
    from coexec.kernels.program.runner import Runner

    target = path.with_suffix(".coexec")
    compile_model(path, target, CompileOptions(profile=False))
    runner = Runner(format.load(target))
    return lambda: list(runner.run(feed).values())


def onnxruntime(path: Path, feed: Feed) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda: session.run(None, feed)


def openvino(path: Path, feed: Feed, precision: str = "f32") -> Run:
    import openvino

    hints = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = openvino.Core().compile_model(str(path), "CPU", hints).create_infer_request()
    return lambda: list(request.infer(feed).values())


def openvino_bf16(path: Path, feed: Feed) -> Run:
    return openvino(path, feed, "bf16")


def deepsparse(path: Path, feed: Feed) -> Run:
    import deepsparse

    engine = deepsparse.compile_model(str(path), batch_size=1, num_cores=1)
    inputs = list(feed.values())
    return lambda: engine.run(inputs)


def mnn(path: Path, feed: Feed) -> Run:
    import MNN.expr as expr
    import MNN.nn as nn

    target = path.with_suffix(".mnn")
    command = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "bench"]
    command += ["--modelFile", str(path), "--MNNModel", str(target)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = {"backend": "CPU", "numThread": 1, "precision": "high"}
    manager = nn.create_runtime_manager((settings,))
    module = nn.load_module_from_file(str(target), [], [], runtime_manager=manager)
    inputs = [expr.const(x, list(x.shape), expr.NCHW, expr.float) for x in feed.values()]

    def run() -> list[np.ndarray]:
        outputs = module.forward(inputs)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        return [np.array(expr.convert(output, expr.NCHW).read()) for output in outputs]

    return run


RUNTIMES = {r.__name__: r for r in (coexec, onnxruntime, openvino, openvino_bf16, deepsparse, mnn)}


def main() -> None:
    runtime, model, inputs, outputs = sys.argv[1:]
    with np.load(inputs) as stored:
        feed = dict(stored)
    run = RUNTIMES[runtime](Path(model), feed)
    np.savez(outputs, *run())
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) * 1e3, flush=True)


if __name__ == "__main__":
    main()
