import asyncio
import sys
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import.conftest import OneNode
from coexec.compiler.pipeline import CompileOptions
from coexec.compiler.worker import Limits, compile_apart


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "relu.onnx"
    path.write_bytes(OneNode("Relu", [np.zeros((2, 3), np.float32)]).model().SerializeToString())
    return path


async def test_the_report_comes_back_whole(model: Path) -> None:
    target = model.with_suffix(".coexec")
    outcome = await compile_apart(model, target, CompileOptions(name="other"))
    report = outcome.report
    assert report is not None
    assert (report.name, report.target) == ("other", target)
    assert report.description is not None
    assert [layer.op for layer in report.description.layers] == ["Relu"]
    assert (target / "program.pb").exists()
    assert outcome.signature is not None
    assert str(outcome.signature.inputs[0]) == "x0 f32[2, 3]"


async def test_a_model_that_needs_shapes_says_so(tmp_path: Path) -> None:
    made = OneNode("Relu", [np.zeros((1, 8), np.float32)]).model()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path = tmp_path / "relu.onnx"
    path.write_bytes(made.SerializeToString())
    outcome = await compile_apart(path, tmp_path / "m.coexec", CompileOptions())
    assert outcome.report is None
    assert outcome.signature is not None
    assert outcome.signature.inputs[0].symbols == ("N", "")
    options = CompileOptions(shapes={"x0": (3, 8)})
    assert (await compile_apart(path, tmp_path / "m.coexec", options)).report is not None


async def test_the_childs_reason_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"nonsense")
    with pytest.raises(CompileError, match=r"bad\.onnx: not an ONNX model"):
        await compile_apart(path, tmp_path / "m.coexec", CompileOptions())


async def test_a_child_that_takes_too_long_is_stopped(model: Path) -> None:
    limits = Limits(seconds=0.05)
    with pytest.raises(CompileError, match=r"relu\.onnx: compiling took more than 0\.05 s"):
        await compile_apart(model, model.with_suffix(".coexec"), CompileOptions(), limits)


async def test_too_little_memory_is_an_error_like_any(model: Path) -> None:
    limits = Limits(memory_bytes=64 << 20)
    with pytest.raises(CompileError, match=r"relu(\.onnx)?: .*(memory|internal error|bad_alloc)"):
        await compile_apart(model, model.with_suffix(".coexec"), CompileOptions(), limits)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "died of signal SIGSEGV"),
        ("raise SystemExit('so long')", r"ended with status 1 \(so long\)"),
        ("print('chatter')", r"ended with status 0 \(it said nothing\)"),
    ],
)
async def test_a_child_that_dies_says_how(
    model: Path, code: str, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = asyncio.create_subprocess_exec

    async def other(*_command: str, **pipes: Any) -> Process:
        return await start(sys.executable, "-c", code, **pipes)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", other)
    with pytest.raises(CompileError, match=f"relu.onnx: the compiler {error}"):
        await compile_apart(model, model.with_suffix(".coexec"), CompileOptions())
