"""The speed of every real network on one thread, against ONNX Runtime in the same run.

    python -m bench.real_speed [--tune fast|full] [--only TEXT] [--seconds S] [--json FILE]

The models are those of ../shared/models (or COEXEC_MODELS), run as they are: every layer native
that can be or, with --tune, each as the tuner chose. Times are the calling thread's, which does all
the work. A row's ratio is ONNX Runtime's time over ours, the median over alternating rounds; above
1 we are faster. The summary is the geometric mean and the worst. Exits 1 when there are no models.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import onnxruntime

from bench.compare import alternate, ratio
from bench.inputs import Array, inputs_for, models_folder
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.tune import EFFORTS
from coexec.kernels.program import format
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.runner import Runner

ROUNDS_MIN, ROUNDS_MAX = 4, 200


@dataclass(frozen=True, slots=True)
class Row:
    """Median milliseconds; ratio: above 1 means faster than ONNX Runtime."""

    model: str
    onnxruntime_ms: float
    coexec_ms: float
    ratio: float
    foreign_layers: int  # run by ONNX Runtime
    tune_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="models whose name holds this text")
    parser.add_argument("--tune", choices=list(EFFORTS), default="", help="default: not at all")
    parser.add_argument("--seconds", type=float, default=2.0, help="time given to each model")
    parser.add_argument("--json", type=Path, help="write the rows and the summary to this file")
    arguments = parser.parse_args()
    paths = [p for p in sorted(models_folder().glob("*.onnx")) if arguments.only in p.stem]
    if not paths:
        sys.exit(f"no models in {models_folder()} named {arguments.only!r}; set COEXEC_MODELS")
    print(
        f"{'model':36}{'onnxruntime ms':>15}{'coexec ms':>11}{'ratio':>8}{'foreign':>9}"
        f"{'tuned s':>9}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            row = measure(path, Path(folder), arguments.seconds, arguments.tune)
            rows.append(row)
            print(
                f"{row.model:36}{row.onnxruntime_ms:15.3f}{row.coexec_ms:11.3f}"
                f"{row.ratio:8.2f}{row.foreign_layers:9}{row.tune_seconds:9.1f}",
                flush=True,
            )
    worst = min(rows, key=lambda row: row.ratio)
    mean = math.exp(statistics.fmean(math.log(row.ratio) for row in rows))
    print(f"geometric mean {mean:.3f} over {len(rows)}; worst {worst.ratio:.2f} ({worst.model})")
    if arguments.json:
        summary = {"geometric_mean": mean, "worst": worst.ratio, "worst_model": worst.model}
        report = {"rows": [asdict(row) for row in rows], **summary}
        arguments.json.write_text(json.dumps(report, indent=1))


def measure(path: Path, folder: Path, seconds: float, tune: str) -> Row:
    """Compile the network for its inputs' shapes, then run it and ONNX Runtime by turns."""
    feed = inputs_for(path)
    target = folder / f"{path.stem}.coexec"
    shapes = {name: array.shape for name, array in feed.items()}
    report = compile_model(path, target, CompileOptions(shapes=shapes, profile=False, tune=tune))
    model = format.load(target)
    times: dict[str, list[float]] = {"onnxruntime": [], "coexec": []}
    # What is made ready first finds other memory than what comes second, which is worth a percent
    # or two of a small model: so each comes first once.
    for names in (["onnxruntime", "coexec"], ["coexec", "onnxruntime"]):
        runs = {name: _ready(name, path, model, feed) for name in names}
        start = time.perf_counter()
        alternate(runs, rounds=1, warmup=1)
        pair_s = (time.perf_counter() - start) / 2
        rounds = min(ROUNDS_MAX, max(ROUNDS_MIN, int(seconds / 2 / pair_s)))
        for name, found in alternate(runs, rounds, clock=time.thread_time).items():
            times[name] += found
    return Row(
        path.stem,
        statistics.median(times["onnxruntime"]),
        statistics.median(times["coexec"]),
        ratio(times, "onnxruntime", "coexec"),
        sum(layer.op == "OnnxRuntime" for layer in model.program.layers),
        report.seconds["tune"],
    )


def _ready(
    name: str, path: Path, model: CompiledModel, feed: dict[str, Array]
) -> Callable[[], object]:
    if name == "coexec":
        return partial(Runner(model).run, feed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, feed)


if __name__ == "__main__":
    main()
