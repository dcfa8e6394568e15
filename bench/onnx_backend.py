"""ONNX's own backend tests, through ONNX Runtime and through coexec in the same run.

    python -m bench.onnx_backend [--only TEXT] [--json FILE]

For each case: does plain ONNX Runtime pass it, does coexec, and how many of its layers ran
natively. Exits 1 when coexec fails a case that ONNX Runtime passes.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner
from coexec.kernels.program.validate import ONNX_RUNTIME

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")

Feed = dict[str, Any]
Run = Callable[[Feed], list[Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case. An empty error is a pass."""

    kind: str
    name: str
    onnxruntime_error: str
    coexec_error: str
    native_layers: int
    layers: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="run cases whose name holds this text")
    parser.add_argument("--json", type=Path, help="write every outcome to this file")
    arguments = parser.parse_args()
    outcomes = list(run_all(arguments.only))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=1))
    lost = [o for o in outcomes if o.coexec_error and not o.onnxruntime_error]
    _print_table(outcomes)
    for outcome in lost:
        print(f"LOST {outcome.kind}/{outcome.name}: {outcome.coexec_error[:300]}")
    return 1 if lost else 0


def run_all(only: str = "") -> Iterator[Outcome]:
    """Every case whose name contains `only`."""
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            if only in case.name:
                with tempfile.TemporaryDirectory() as folder:
                    yield _run_case(kind, case, Path(folder))


def _run_case(kind: str, case: TestCase, folder: Path) -> Outcome:
    path = folder / "model.onnx"
    if case.model is None:
        path = Path(case.model_dir) / "model.onnx"
    else:
        onnx.save(case.model, path)
    graph = onnx.load(path, load_external_data=False).graph
    data = [
        ([_value(v) for v in inputs], [_value(v) for v in outputs])
        for inputs, outputs in case.data_sets or []
    ] or [_read_data(graph, folder) for folder in _data_folders(case)]
    names = [value.name for value in graph.input]
    plain = _attempt(case, data, names, lambda: _onnxruntime(path))
    counts = [0, 0]
    ours = _attempt(case, data, names, lambda: _coexec(path, folder / "model.coexec", counts))
    return Outcome(kind, case.name, plain, ours, *counts)


def _attempt(
    case: TestCase, data: list[tuple[Any, Any]], names: list[str], prepare: Callable[[], Run]
) -> str:
    """The error of the first data set that fails, or an empty text."""
    try:
        run = prepare()
        for inputs, outputs in data:
            _compare(run(dict(zip(names, inputs, strict=False))), list(outputs), case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _onnxruntime(path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feed: list(session.run(None, feed))


def _coexec(path: Path, target: Path, counts: list[int]) -> Run:
    prepared: dict[str, Runner] = {}

    def run(feed: Feed) -> list[Any]:
        shapes = {k: tuple(np.shape(v)) for k, v in feed.items() if isinstance(v, np.ndarray)}
        key = str(shapes)
        if key not in prepared:
            compile_model(path, target, CompileOptions(shapes=shapes))
            model = format.load(target)
            ops = [layer.op for layer in model.program.layers]
            counts[:] = [sum(op != ONNX_RUNTIME for op in ops), len(ops)]
            prepared[key] = Runner(model)
        return list(prepared[key].run(feed).values())

    return run


def _value(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def _data_folders(case: TestCase) -> list[Path]:
    return sorted(Path(case.model_dir).glob("test_data_set_*"))


def _read_data(graph: onnx.GraphProto, folder: Path) -> tuple[list[Any], list[Any]]:
    def side(name: str, infos: Any) -> list[Any]:
        files = sorted(folder.glob(f"{name}_*.pb"), key=lambda p: int(p.stem.split("_")[-1]))
        return [_read(path, info.type) for path, info in zip(files, infos, strict=False)]

    return side("input", graph.input), side("output", graph.output)


def _read(path: Path, kind: onnx.TypeProto) -> Any:
    content = path.read_bytes()
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))


def _compare(got: list[Any], want: list[Any], case: TestCase) -> None:
    if len(got) != len(want):
        raise AssertionError(f"{len(got)} outputs, {len(want)} expected")
    for g, w in zip(got, want, strict=True):
        if isinstance(w, list):
            _compare(list(g), w, case)
        elif w is None:
            assert g is None
        else:
            _compare_arrays(np.asarray(g), np.asarray(w), case)


def _compare_arrays(got: Any, want: Any, case: TestCase) -> None:
    if got.shape != want.shape or got.dtype != want.dtype:
        raise AssertionError(f"{got.dtype}{got.shape}, {want.dtype}{want.shape} expected")
    if want.dtype == object or want.dtype.kind in "SUb":
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(
            got.astype(np.float64) if want.dtype.kind == "V" else got, want, case.rtol, case.atol
        )


def _print_table(outcomes: list[Outcome]) -> None:
    print(f"{'kind':20}{'cases':>7}{'onnxruntime':>13}{'coexec':>8}{'native':>8}{'part':>6}")
    for kind in (*KINDS, "all"):
        rows = [o for o in outcomes if kind in (o.kind, "all")]
        tally = Counter(
            onnxruntime=sum(not o.onnxruntime_error for o in rows),
            coexec=sum(not o.coexec_error for o in rows),
            native=sum(not o.coexec_error and o.native_layers == o.layers > 0 for o in rows),
            part=sum(not o.coexec_error and 0 < o.native_layers < o.layers for o in rows),
        )
        print(
            f"{kind:20}{len(rows):7}{tally['onnxruntime']:13}{tally['coexec']:8}"
            f"{tally['native']:8}{tally['part']:6}"
        )


if __name__ == "__main__":
    sys.exit(main())
