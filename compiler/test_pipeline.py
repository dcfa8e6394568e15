import re
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from coexec.compiler.describe import random_inputs
from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Graph
from coexec.compiler.onnx_import.conftest import OneNode, run_by_onnxruntime
from coexec.compiler.passes import PassReport
from coexec.compiler.pipeline import CompileOptions, CompileReport, compile_model
from coexec.compiler.prune import Target, parse_rule
from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'
_RNG = np.random.default_rng(3)


def _write(folder: Path, text: str) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(onnx.parser.parse_model(_HEAD + text).SerializeToString())
    return path


def _compile(path: Path, **options: object) -> tuple[CompileReport, Runner]:
    target = path.with_suffix(".coexec")
    report = compile_model(path, target, CompileOptions(**options))  # type: ignore[arg-type]
    return report, Runner(format.load(target))


def _mlp(folder: Path) -> Path:
    """Two matrix products with biases, the first followed by a Relu."""
    weights = [_RNG.standard_normal(s).astype(np.float32) for s in ((96, 128), (128,), (128, 96))]
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w0"], ["a"]),
        onnx.helper.make_node("Add", ["a", "w1"], ["b"]),
        onnx.helper.make_node("Relu", ["b"], ["c"]),
        onnx.helper.make_node("MatMul", ["c", "w2"], ["d"]),
        onnx.helper.make_node("Tanh", ["d"], ["y"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "mlp",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 96])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 96])],
        [onnx.numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
    )
    path = folder / "mlp.onnx"
    opsets = [onnx.helper.make_opsetid("", 17)]
    path.write_bytes(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    return path


def test_a_native_model_end_to_end(tmp_path: Path) -> None:
    path = _mlp(tmp_path)
    report, runner = _compile(path, shapes={"x": (3, 96)})
    x = _RNG.standard_normal((3, 96)).astype(np.float32)
    want = run_by_onnxruntime(onnx.load(path), {"x": x})[0]
    np.testing.assert_allclose(runner.run({"x": x})["y"], want, rtol=1e-4, atol=1e-5)
    description = report.description
    assert description is not None
    assert [layer.op for layer in description.layers] == ["Gemm", "Gemm"]
    assert description.native_flops_share == 1.0
    assert description.flops >= 2 * 3 * 96 * 128 * 2
    assert all(layer.kernel.startswith("gemm_f32") for layer in description.layers)
    assert all(layer.measured_us > 0 for layer in description.layers)
    assert not report.undone
    program = format.load(tmp_path / "mlp.coexec").program
    assert program.options["shapes"] == "x=3,96"
    assert all(layer.measured_us > 0 for layer in program.layers)


def test_a_dynamic_model_needs_its_shapes(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"mlp: input x f32\[N, 96\] .* --shape x=1,96"):
        compile_model(_mlp(tmp_path), tmp_path / "m.coexec", CompileOptions())


def test_shape_arithmetic_disappears(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        """g (float[N,C,H] x) => (float[N,M] y, float[N,C,H] z)
           <int64 zero = {0}, int64[1] axis = {0}, int64[1] rest = {-1}>
           {s = Shape(x) n = Gather(s, zero) u = Unsqueeze(n, axis)
            t = Concat<axis = 0>(u, rest) y = Reshape(x, t)
            one = ConstantOfShape(s) z = Add(x, one)}""",
    )
    report, runner = _compile(path, shapes={"x": (2, 3, 4)})
    assert report.description is not None
    assert {layer.op for layer in report.description.layers} <= {"Reshape", "Add"}
    x = _RNG.standard_normal((2, 3, 4)).astype(np.float32)
    results = runner.run({"x": x})
    np.testing.assert_array_equal(results["y"], x.reshape(2, 12))
    np.testing.assert_array_equal(results["z"], x)


def test_a_huge_constant_is_not_made(tmp_path: Path) -> None:
    """Two numbers must not become eight gigabytes while compiling."""
    path = _write(
        tmp_path,
        """g (float[1] x) => (float[a,b] y) <int64[2] s = {40000, 50000}, int64 zero = {0}>
           {c = ConstantOfShape(s) y = Gather(c, zero)}""",
    )
    compile_model(path, tmp_path / "m.coexec", CompileOptions(profile=False))


def test_nothing_native_is_run_whole_with_its_dims_dynamic(tmp_path: Path) -> None:
    path = _write(tmp_path, "g (float[N] x) => (float[N] y) {y = Tan(x)}")
    report, runner = _compile(path, shapes={"x": (2,)})
    assert report.description is not None
    assert [layer.why_not_native for layer in report.description.layers] == [
        "no layer has a native kernel"
    ]
    for size in (2, 5):
        x = np.linspace(-1, 1, size).astype(np.float32)
        np.testing.assert_allclose(runner.run({"x": x})["y"], np.tan(x), rtol=1e-5)


def test_sequences_are_run_whole(tmp_path: Path) -> None:
    path = _write(
        tmp_path, "g (seq(float[2]) s) => (float[a] y) {y = ConcatFromSequence<axis = 0>(s)}"
    )
    report, runner = _compile(path)
    assert report.description is not None
    assert (
        "s sequence of any shape is nothing native" in report.description.layers[0].why_not_native
    )
    pieces = [np.ones(2, np.float32), np.zeros(2, np.float32)]
    assert runner.run({"s": pieces})["y"].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("{a = Relu(b) b = Relu(a) y = Add(x, a)}", "topologically sorted"),
        ("{y = Relu(gone)}", "topologically sorted"),
        ("{y = NoSuchOp(x)}", "No Op registered for NoSuchOp"),
        ("{y = Reshape(x, s)}", "ONNX Runtime refuses it"),
    ],
)
def test_hostile_graphs_are_refused_with_the_reason(tmp_path: Path, body: str, error: str) -> None:
    path = _write(tmp_path, "g (float[2] x) => (float[2] y) <float s = {3.0}> " + body)
    with pytest.raises(CompileError, match=f"net: .*{re.escape(error)}"):
        compile_model(path, tmp_path / "m.coexec", CompileOptions())
    assert not (tmp_path / "m.coexec").exists()


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    model = OneNode("Magic", [np.ones(2, np.float32)], domain="example.org").model()
    model.graph.output[0].type.CopyFrom(model.graph.input[0].type)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match="ONNX Runtime refuses it"):
        compile_model(path, tmp_path / "m.coexec", CompileOptions())


def test_pruning_and_calibration(tmp_path: Path) -> None:
    path = _mlp(tmp_path)
    calibration = tmp_path / "c.npz"
    np.savez(calibration, x=_RNG.standard_normal((4, 2, 96)).astype(np.float32))
    rules = [parse_rule("bcr=0.9")]
    report, _ = _compile(path, shapes={"x": (2, 96)}, prune=rules, calibration=calibration)
    assert report.description is not None
    first = report.description.layers[0]
    assert (first.layout, first.kernel.split("_")[2]) == ("bcr", "bcr")
    assert 0.05 < first.density < 0.2
    error = re.search(r"output error (\S+)", report.pruned[-1])
    assert error is not None
    assert 0.0 < float(error[1]) < 2.0
    assert format.load(tmp_path / "mlp.coexec").program.options["prune"] == "bcr=0.9"


def test_basis_kernels_that_span_all_taps_compute_the_same(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        """net (float[1,3,8,8] x) => (float[1,6,8,8] y)
        <float[4,3,3,3] w0, float[6,4,3,3] w1> {
            a = Conv<pads=[1,1,1,1]>(x, w0)
            y = Conv<pads=[1,1,1,1]>(a, w1)
        }""",
    )
    model = onnx.load(path)
    patterns = _RNG.standard_normal((2, 9))  # every kernel is made of these two
    first = _RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    second = (_RNG.standard_normal((24, 2)) @ patterns).astype(np.float32).reshape(6, 4, 3, 3)
    del model.graph.initializer[:]
    for name, weight in (("w0", first), ("w1", second)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    path.write_bytes(model.SerializeToString())
    report, runner = _compile(path, basis=2)
    assert len(report.pruned) == 1
    assert report.pruned[0].endswith("2 of 9 taps, energy kept 1.000")
    x = _RNG.standard_normal((1, 3, 8, 8)).astype(np.float32)
    want = run_by_onnxruntime(onnx.load(path), {"x": x})[0]
    np.testing.assert_allclose(runner.run({"x": x})["y"], want, rtol=1e-4, atol=1e-4)


def test_rates_searched_for_a_target(tmp_path: Path) -> None:
    path, curve = _mlp(tmp_path), tmp_path / "curve.svg"
    shapes = {"x": (2, 96)}
    target = Target(density=0.2)
    rules = [parse_rule("*:bcr")]
    report, _ = _compile(path, shapes=shapes, prune=rules, target=target, trade_off=curve)
    density = re.search(r"total: density (\S+),", report.pruned[-1])
    assert density is not None
    assert float(density[1]) <= 0.2
    assert sum("-> taken" in line for line in report.pruned) == 1
    assert "<svg" in curve.read_text()
    assert format.load(tmp_path / "mlp.coexec").program.options["target"] == "density 0.2"
    with pytest.raises(CompileError, match=r"latency 1e-06ms is out of reach: .* the layers take"):
        _compile(path, shapes=shapes, target=Target(latency_us=1e-3))


def test_calibration_that_does_not_fit(tmp_path: Path) -> None:
    path, calibration = _mlp(tmp_path), tmp_path / "c.npz"
    np.savez(calibration, x=np.zeros((2, 95), np.float32))
    options = CompileOptions(
        shapes={"x": (2, 96)}, prune=[parse_rule("bcr=0.9")], calibration=calibration
    )
    with pytest.raises(CompileError, match=r"'x' is float32\[2, 95\]; one example is f32"):
        compile_model(path, tmp_path / "m.coexec", options)


def test_a_pass_whose_result_no_kernel_takes_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(graph: Graph) -> PassReport:
        graph.layers[0].attrs["activation"] = "NoSuchFunction"
        return PassReport("spoil", done=["all"])

    monkeypatch.setattr("coexec.compiler.pipeline.REWRITES", (spoil,))
    report, runner = _compile(_mlp(tmp_path), shapes={"x": (1, 96)})
    assert len(report.undone) == 1
    assert report.undone[0].startswith("spoil: ")
    assert runner.run(random_inputs(format.load(tmp_path / "mlp.coexec").program))


def test_a_tuning_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path) -> None:
    (tmp_path / "tuning").write_text("no folder")
    options = {"shapes": {"x": (3, 96)}, "tune": "fast", "tuning": tmp_path / "tuning"}
    report, _ = _compile(_mlp(tmp_path), **options)
    assert any("cannot be written" in warning for warning in report.warnings)


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CompileError, match=r"cannot be written: [A-Z][a-z ]+$"):
        compile_model(
            _mlp(tmp_path), tmp_path / "file" / "m.coexec", CompileOptions(shapes={"x": (1, 96)})
        )


def test_equal_models_have_equal_digests(tmp_path: Path) -> None:
    """Whatever the names in the file: that is what reuse goes by."""
    text = "g (float[2,3] {0}) => (float[2,3] {1}) {{{2} = Relu({0}) {1} = Tan({2})}}"
    digests = []
    for names in (("x", "y", "a"), ("image", "out", "inner")):
        path = _write(tmp_path, text.format(*names))
        compile_model(path, tmp_path / "m.coexec", CompileOptions(profile=False))
        program = format.load(tmp_path / "m.coexec").program
        digests.append([program.tensors[i].digest for i in program.outputs])
    assert digests[0] == digests[1]
