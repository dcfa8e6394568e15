"""Every distinct layer with weights of some networks, in each layout that suits it, on one thread.

    python -m bench.kernels [--networks NAME...] [--density D] [--rounds N] [--json FILE]

Each layer is compiled alone: dense, pruned in blocks (bcr), without structure (csr), and by
pattern, kgs or 1:4 (nm) where such weights can be, and run by turns with ONNX Runtime's dense one.
GFLOP/s count kept weights only, over the best round; the share is of what this core's multiply-adds
reach in registers, measured in the same turns; Winograd's transforms save some of the operations
counted, so a dense 3x3 layer's may be above 100 %. Intensity is those operations over the bytes of
weights, input and output. The ratio is ONNX Runtime's time over ours, the median over the rounds. A
turn is the best of three runs in a row, so that data is as warm as the layer's own size leaves it.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
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
from coexec.compiler.prune import PruneRule, parse_rule
from coexec.kernels._kernels import measured_peak_flops
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

RUNS = 3  # per turn
# The rule that leads to a sparse layout, from the share of weights to remove.
SCHEMES = {
    "bcr": "*:bcr={}",
    "csr": "*:unstructured={}",
    "pattern": "*:pattern={}",
    "kgs": "*:kgs={}",  # of 3-D kernels
    "nm": "*:nm=0.75",
}
PATTERN_DENSITY_MAX = 4 / 9  # four taps of nine
OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU")


@dataclass(frozen=True, slots=True)
class Row:
    """One layer in one layout. count: how often the network has it. ms: median. share: of the
    measured peak. intensity: operations per byte. ratio: above 1 is faster than ONNX Runtime's
    dense layer."""

    network: str
    layer: str
    layout: str
    count: int
    ms: float
    gflops: float
    share: float
    intensity: float
    ratio: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", default=["resnet50", "gru_2x1024"])
    parser.add_argument("--density", type=float, default=0.1, help="weights kept when pruned")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the rows and their summary to this file")
    arguments = parser.parse_args()
    rows: list[Row] = []
    print(f"{'layer':52}{'layout':8}{'x':>3}{'ms':>9}{'GFLOP/s':>9}{'share':>7}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for network in arguments.networks:
            for model, layer, count in layers(zoo.write(network, Path(folder))):
                names = (network, layer, count)
                for row in measure(model, names, arguments.density, arguments.rounds):
                    rows.append(row)
                    print(
                        f"{row.layer:52}{row.layout:8}{row.count:3}{row.ms:9.3f}{row.gflops:9.1f}"
                        f"{row.share:7.0%}{row.ratio:7.2f}",
                        flush=True,
                    )
    summary = {k: v for name in arguments.networks for k, v in shares(rows, name).items()}
    print("; ".join(f"{name.replace('_', ' ')} {value:.0%}" for name, value in summary.items()))
    if arguments.json:
        roofs = {"peak_gflops": measured_peak_flops() / 1e9, "memory_gb_per_s": memory_rate() / 1e9}
        report = {"rows": [asdict(row) for row in rows], **summary, **roofs}
        arguments.json.write_text(json.dumps(report, indent=1))


def shares(rows: list[Row], network: str) -> dict[str, float]:
    """By layout, the mean over the network's convolutions and the worst of them."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.network == network and row.layer.startswith("Conv"):
            found.setdefault(f"{network}_{row.layout}", []).append(row.share)
    means = {f"{name}_mean_share": statistics.mean(values) for name, values in found.items()}
    return means | {f"{name}_worst_share": min(values) for name, values in found.items()}


def memory_rate() -> float:
    """Bytes per second that one thread reads from memory: the best of several sums over 256 MiB."""
    data = np.ones(2**26, np.float32)
    return data.nbytes / min(_clocked(lambda: np.dot(data, data)) for _ in range(10))


def layers(path: Path) -> list[tuple[onnx.ModelProto, str, int]]:
    """A model of each distinct layer with weights, what it is, and how often it comes."""
    model = shape_inference.infer_shapes(onnx.load(path))
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, tuple[onnx.NodeProto, int]] = {}
    for node in model.graph.node:
        if node.op_type in OPS and node.input[1] in weights:
            text = f"{node.op_type} {shapes[node.input[0]]} by {list(weights[node.input[1]].dims)}"
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            text += "".join(f" / {n}" for n in attributes.get("strides", [])[:1] if n > 1)
            text += "".join(f" group {n}" for n in [attributes.get("group", 1)] if n > 1)
            found[text] = (node, found.get(text, (node, 0))[1] + 1)
    return [
        (_alone(node, shapes, weights, model.opset_import), text, count)
        for text, (node, count) in found.items()
    ]


def _alone(node: onnx.NodeProto, shapes: dict[str, Any], weights: Any, opsets: Any) -> Any:
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shapes[name])

    outputs = [name for name in node.output if name]
    constants = [weights[name] for name in node.input[1:] if name]
    graph = helper.make_graph(
        [node], "layer", [value(node.input[0])], [*map(value, outputs)], constants
    )
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def _schemes(model: onnx.ModelProto, density: float) -> Iterator[tuple[str, list[PruneRule]]]:
    """The layouts that suit the layer, and the rules that lead to each."""
    yield "dense", []
    (node,) = model.graph.node
    shape = tuple(model.graph.initializer[0].dims)
    grouped = any(a.name == "group" and a.i > 1 for a in node.attribute)
    if grouped or node.op_type == "ConvTranspose":
        return
    for layout, form in SCHEMES.items():
        if layout == "pattern" and density > PATTERN_DENSITY_MAX:
            continue
        rule = parse_rule(form.format(round(1 - density, 6)))
        if not rule.why_not(node.op_type, shape) and (layout != "kgs" or len(shape) == 5):
            yield layout, [rule]


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
    traffic: dict[str, int] = {}
    feed: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(model, path)
        for layout, rules in _schemes(model, density):
            target = path.with_suffix(f".{layout}.coexec")
            compile_model(path, target, CompileOptions(prune=rules, profile=False))
            compiled = format.load(target)
            feed = random_inputs(compiled.program)
            timers[layout] = _timer(Runner(compiled), feed)
            flops[layout] = sum(part.flops for part in compiled.program.layers)
            traffic[layout] = sum(part.bytes for part in compiled.program.layers)
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
            flops[layout] / traffic[layout],
            float(np.median(np.divide(seconds["onnxruntime"], seconds[layout]))),
        )
        for layout in flops
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
