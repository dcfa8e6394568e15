"""Every distinct convolution and Gemm of a network, in each layout, on one thread.

    python -m bench.kernels [--networks NAME...] [--density D] [--rounds N] [--json FILE]

Each layer is compiled alone: dense, pruned in blocks (bcr) and without structure, and run by
turns with ONNX Runtime's dense one. GFLOP/s count kept weights only, over the best round; the
share is of what this core's multiply-adds reach in registers, measured in the same turns. The
ratio is ONNX Runtime's time over ours, the median over the rounds. A turn is the best of three runs
in a row, so that data is as warm as the layer's own size leaves it.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, shape_inference

from bench import zoo
from coexec.compiler.describe import random_inputs
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import parse_rule
from coexec.kernels._kernels import measured_peak_flops
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

RUNS = 3  # per turn
SCHEMES = {"dense": "", "bcr": "*:bcr={}", "csr": "*:unstructured={}"}


@dataclass(frozen=True, slots=True)
class Row:
    """One layer in one layout. count: how often the network has it. ms: median. share: of the
    measured peak. ratio: above 1 is faster than ONNX Runtime's dense layer."""

    network: str
    layer: str
    layout: str
    count: int
    ms: float
    gflops: float
    share: float
    ratio: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["resnet50"])
    parser.add_argument("--density", type=float, default=0.1, help="weights kept when pruned")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the rows and their summary to this file")
    arguments = parser.parse_args()
    rows: list[Row] = []
    print(f"{'layer':44}{'layout':8}{'x':>3}{'ms':>9}{'GFLOP/s':>9}{'share':>7}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for network in arguments.networks:
            for model, layer, count in layers(zoo.write(network, Path(folder))):
                names = (network, layer, count)
                for row in measure(model, names, arguments.density, arguments.rounds):
                    rows.append(row)
                    print(
                        f"{row.layer:44}{row.layout:8}{row.count:3}{row.ms:9.3f}{row.gflops:9.1f}"
                        f"{row.share:7.0%}{row.ratio:7.2f}",
                        flush=True,
                    )
    summary = {f"{layout}_{k}": v for layout in SCHEMES for k, v in shares(rows, layout).items()}
    print("; ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in summary.items()))
    if arguments.json:
        report = {"rows": [asdict(row) for row in rows], **summary}
        arguments.json.write_text(json.dumps(report, indent=1))


def shares(rows: list[Row], layout: str) -> dict[str, float]:
    """The mean over the convolutions of a network, and the worst of them."""
    found = [row.share for row in rows if row.layout == layout and row.layer.startswith("Conv")]
    return {"mean_share": statistics.mean(found), "worst_share": min(found)} if found else {}


def layers(path: Path) -> list[tuple[onnx.ModelProto, str, int]]:
    """A model of each distinct Conv and Gemm, what it is, and how often it comes."""
    model = shape_inference.infer_shapes(onnx.load(path))
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, tuple[onnx.NodeProto, int]] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in weights:
            strides = next((list(a.ints) for a in node.attribute if a.name == "strides"), [1, 1])
            text = f"{node.op_type} {shapes[node.input[0]]} by {list(weights[node.input[1]].dims)}"
            text += f" / {strides[0]}" if strides[0] > 1 else ""
            found[text] = (node, found.get(text, (node, 0))[1] + 1)
    return [
        (_alone(node, shapes, weights, model.opset_import), text, count)
        for text, (node, count) in found.items()
    ]


def _alone(node: onnx.NodeProto, shapes: dict[str, Any], weights: Any, opsets: Any) -> Any:
    f32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info(node.input[0], f32, shapes[node.input[0]])],
        [helper.make_tensor_value_info(node.output[0], f32, shapes[node.output[0]])],
        [weights[name] for name in node.input[1:]],
    )
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def measure(
    model: onnx.ModelProto, names: tuple[str, str, int], density: float, rounds: int
) -> list[Row]:
    """The layer in every layout, by turns with ONNX Runtime and the peak."""
    network, layer, count = names
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    timers: dict[str, Callable[[], float]] = {}
    flops: dict[str, int] = {}
    feed: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(model, path)
        for layout, rule in SCHEMES.items():
            rules = [parse_rule(rule.format(round(1 - density, 6)))] if rule else []
            target = path.with_suffix(f".{layout}.coexec")
            compile_model(path, target, CompileOptions(prune=rules, profile=False))
            compiled = format.load(target)
            feed = random_inputs(compiled.program)
            timers[layout] = _timer(Runner(compiled), feed)
            flops[layout] = sum(part.flops for part in compiled.program.layers)
    timers["onnxruntime"] = lambda: _clocked(lambda: session.run(None, feed))
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    peak = 0.0
    for turn in range(rounds + 1):
        peak = max(peak, measured_peak_flops())
        for name, timer in timers.items():
            took = min(timer() for _ in range(RUNS))
            if turn > 0:
                seconds[name].append(took)
    return [
        Row(
            network,
            layer,
            layout,
            count,
            1e3 * statistics.median(seconds[layout]),
            flops[layout] / min(seconds[layout]) / 1e9,
            flops[layout] / min(seconds[layout]) / peak,
            float(np.median(np.divide(seconds["onnxruntime"], seconds[layout]))),
        )
        for layout in SCHEMES
    ]


def _timer(runner: Runner, feed: dict[str, Any]) -> Callable[[], float]:
    """Seconds the steps of a run took."""

    def run() -> float:
        runner.run(feed)
        return sum(runner.layer_us.values()) / 1e6

    return run


def _clocked(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
