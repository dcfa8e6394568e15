import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from coexec.compiler.cli import register
from coexec.compiler.onnx_import.conftest import OneNode

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
    assert _run("bench", model, "--against", "onnxruntime", "--threads", "2") == 0
    assert "ratio " in capsys.readouterr().out
    assert _run("compile", model) == 0
    assert _run("bench", model.with_suffix(".coexec")) == 0
    assert _run("bench", model.with_suffix(".coexec"), "--against", "onnxruntime") == 1
    assert "give the .onnx file" in capsys.readouterr().err


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
        (["compile", "m.onnx", "--calibration", "c.npz"], "give --prune as well"),
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
        ("--prune", "magic=0.5", "no scheme 'magic'"),
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
