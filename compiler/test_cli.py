import argparse
import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest

from coexec.compiler.cli import register
from coexec.compiler.onnx_import.conftest import OneNode
from coexec.compiler.tune.backends import tune_backends
from coexec.compiler.tune.measure import Budget, Run
from coexec.kernels._kernels import available_cores

_RNG = np.random.default_rng(4)


def _run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser("coexec")
    register(parser.add_subparsers(required=True))
    options = parser.parse_args([str(a) for a in arguments])
    return int(options.run(options))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    operands = [_RNG.standard_normal(s).astype(np.float32) for s in ((2, 64), (128, 64), (128,))]
    case = OneNode("Gemm", operands, {"transB": 1}, constants=(1, 2))
    made = case.model()
    made.graph.node.append(onnx.helper.make_node("Tan", ["y0"], ["y"]))
    made.graph.output[0].name = "y"
    made.graph.output[0].type.CopyFrom(
        onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [2, 128])
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_compile(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("compile", model) == 0
    assert (model.parent / "net.coexec" / "program.pb").exists()
    assert "net: 1 of 2 layers native" in capsys.readouterr().out


def test_compile_as_json_with_pruning(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = model.parent / "out.coexec"
    rule = "*:unstructured=0.75"
    assert _run("compile", model, "-o", target, "--prune", rule, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["target"] == str(target)
    assert facts["description"]["layers"][0]["native"]
    assert "density 0.250" in facts["pruned"][0]


def test_compile_as_text_with_pruning(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("compile", model, "--prune", "*:unstructured=0.75") == 0
    assert "pruned total: density 0.250" in capsys.readouterr().out


def test_a_basis_for_no_layer_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("compile", model, "--basis", "3") == 1
    assert "net: --basis 3: no convolution after the first" in capsys.readouterr().err


@pytest.mark.parametrize("compiled", [False, True])
def test_inspect(model: Path, compiled: bool, capsys: pytest.CaptureFixture[str]) -> None:
    path = model
    if compiled:
        assert _run("compile", model) == 0
        path = model.with_suffix(".coexec")
        capsys.readouterr()
    assert _run("inspect", path) == 0
    text = capsys.readouterr().out
    assert "gemm_f32_dense" in text
    assert "(Tan): no native kernel for Tan" in text
    assert _run("inspect", path, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["layers"][0]["shape"] == [2, 128]
    assert 0.9 < facts["native_flops_share"] < 1.0
    gemm = facts["layers"][0]
    assert gemm["copied_bytes"] == 4 * 2 * 64  # two rows, interleaved
    assert gemm["copied_us"] > 0
    assert f"{gemm['copied_bytes'] / 1e3:.0f} KB, " in text
    assert facts["constants_bytes"] == 4 * (128 * 64 + 128)


def test_bench(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coexec.compiler.bench._SECONDS", 0.0)
    assert _run("bench", model, "--against", "onnxruntime", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["median_ms"] > 0
    assert facts["p99_ms"] >= facts["median_ms"]
    assert facts["ratio"] == pytest.approx(facts["onnxruntime_median_ms"] / facts["median_ms"])
    threads = len(available_cores())
    assert _run("bench", model, "--against", "onnxruntime", "--threads", str(threads)) == 0
    assert "ratio " in capsys.readouterr().out
    assert _run("compile", model) == 0
    assert _run("bench", model.with_suffix(".coexec")) == 0
    assert _run("bench", model.with_suffix(".coexec"), "--against", "onnxruntime") == 1
    assert "give the .onnx file" in capsys.readouterr().err


def test_bench_on_given_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coexec.compiler.bench._SECONDS", 0.0)
    made = OneNode("Gather", [np.zeros((5, 3), np.float32), np.zeros(2, np.int64)]).model()
    made.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "N"
    made.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path, inputs = tmp_path / "gather.onnx", tmp_path / "inputs.npz"
    path.write_bytes(made.SerializeToString())
    np.savez(inputs, x1=np.array([4, 0, 2], np.int64))
    assert _run("bench", path, "--input", f"x1={inputs}", "--against", "onnxruntime") == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{path}, compiled now, and the same file in ONNX Runtime, by turns:")
    assert _run("bench", path, "--input", f"y={inputs}") == 1
    assert "has no input 'y'" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "-1", "999", "two"])
def test_threads_that_this_machine_has_not(
    model: Path, capsys: pytest.CaptureFixture[str], threads: str
) -> None:
    most = len(available_cores())
    with pytest.raises(SystemExit):
        _run("bench", model, f"--threads={threads}")
    told = f"{threads!r} threads cannot be: this process may use {most} of the machine's "
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("batch", ["0", "-1", "1.5", str(2**70)])
def test_batches_that_cannot_be(
    model: Path, capsys: pytest.CaptureFixture[str], batch: str
) -> None:
    with pytest.raises(SystemExit):
        _run("bench", model, f"--batch={batch}")
    assert f"{batch!r} is no size of a batch; 1 to " in capsys.readouterr().err


def test_shapes_of_a_compiled_model_are_refused(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("compile", model) == 0
    compiled = model.with_suffix(".coexec")
    for command, *given in (
        ["inspect", "--shape", "x0=2,64"],
        ["bench", "--shape", "x0=2,64"],
        ["bench", "--batch", "4"],
    ):
        assert _run(command, compiled, *given) == 1
        assert f"fixed shapes already; {given[0]} is for .onnx files" in capsys.readouterr().err


def test_a_file_is_never_replaced_by_a_folder(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = model.read_bytes()
    assert _run("compile", model, "-o", model) == 1
    assert "is a file; a compiled model is a folder" in capsys.readouterr().err
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_bench_with_a_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coexec.compiler.bench._SECONDS", 0.0)
    made = OneNode("Relu", [np.zeros((1, 8), np.float32)]).model()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path = tmp_path / "relu.onnx"
    made.graph.output[0].type.CopyFrom(made.graph.input[0].type)
    path.write_bytes(made.SerializeToString())
    assert _run("bench", path, "--batch", "4", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rounds"] >= 10
    assert _run("bench", path, "--shape", "x0=2,8", "--json") == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["compile", "missing.onnx"], "coexec compile: missing.onnx: cannot be read"),
        (["inspect", "missing.coexec"], "coexec inspect: missing.coexec: cannot be read"),
        (["compile", "."], "coexec compile: .: not a file"),
        (["compile", "m.onnx", "--calibration", "c.npz"], "give --prune or --type"),
        (["compile", "m.onnx", "--prune", "bcr=0.9", "--reconstruct"], "give --calibration"),
        (["compile", "m.onnx", "--trade-off", "t.png"], "give --target-density or"),
    ],
)
def test_what_fails_says_why(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == 1
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--shape", "x=a,b", "is no shape; write NAME=1,3,224,224"),
        ("--shape", "x", "is no shape"),
        ("--shape", "x=0,3", "each 1 or more"),
        ("--prune", "magic=0.5", "no scheme 'magic'"),
        ("--tuning-dir", __file__, "is a file; name a folder"),
    ],
)
def test_options_that_do_not_parse(
    option: str, value: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        _run("compile", "m.onnx", option, value)
    assert error in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compile", "inspect", "bench"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        _run(command, "--help")
    assert f"example:\n  coexec {command} " in capsys.readouterr().out


def test_tune_keeps_what_it_measures(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = ("--tuning-dir", tmp_path / "here"), ("--tuning-dir", tmp_path / "there")
    exported = tmp_path / "exported.json"
    rule = ("--prune", "*:unstructured=0.75")
    assert _run("tune", model, *rule, *here, "--export", exported, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["exported"] >= 1
    assert _run("tune", "--import", exported, *there) == 0
    text = capsys.readouterr().out
    assert f"took {facts['exported']} choices from" in text
    assert f"{facts['exported']} choices are kept in {tmp_path / 'there'}" in text
    target = tmp_path / "out.coexec"
    assert _run("compile", model, *rule, "-o", target, *there) == 0
    capsys.readouterr()
    assert _run("inspect", target, "--why", "node") == 0
    text = capsys.readouterr().out
    # Either layouts raced, or the whole layer went to ONNX Runtime: this machine decides.
    assert " csr " in text or "onnxruntime" in text
    assert text.count(" us") >= 2


def test_what_is_given_to_onnx_runtime_is_said(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(contenders: Mapping[str, Run], _: Budget) -> dict[str, float]:
        return {name: 1.0 if name == "onnxruntime" else 9.0 for name in contenders}

    monkeypatch.setattr("coexec.compiler.pipeline.tune_backends", partial(tune_backends, race=race))
    folder = ("--tuning-dir", tmp_path / "tuning")
    for command in (("tune", model), ("compile", model)):
        assert _run(*command, *folder) == 0
        assert "layers that could be native: it is faster" in capsys.readouterr().out
        assert _run(*command, *folder, "--keep-native") == 0
        assert "layers that could be native" not in capsys.readouterr().out
    assert _run("inspect", model.with_suffix(".coexec"), "--why", "node") == 0
    assert "compiled with --keep-native" in capsys.readouterr().out


def test_tune_forgets(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--tuning-dir", tmp_path / "tuning")
    assert _run("tune", model, *folder) == 0
    text = capsys.readouterr().out
    assert f"{model}: tuned in" in text
    assert "(--tune fast)" in text
    assert _run("tune", "--forget", *folder) == 0
    assert re.search(r"forgot [1-9]\d* choices\n0 choices are kept", capsys.readouterr().out)
    assert not list((tmp_path / "tuning").glob("*.json"))
    assert _run("tune", "--forget", *folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == 0


def test_tune_with_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("tune", "--tuning-dir", tmp_path) == 1
    assert "nothing to do" in capsys.readouterr().err


def test_a_damaged_tuning_is_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tuning"
    assert _run("tune", model, "--prune", "*:unstructured=0.75", "--tuning-dir", folder) == 0
    (kept,) = folder.glob("*.json")
    kept.write_text("{")
    assert _run("compile", model, "--tuning-dir", folder) == 0
    assert "warning:" in capsys.readouterr().err
    assert _run("tune", "--forget", "--tuning-dir", folder) == 0
    assert "warning:" in capsys.readouterr().err
