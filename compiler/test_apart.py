import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import pytest_asyncio

from coexec.compiler.apart import CompileRequest, CompileServer, Limits
from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import.conftest import OneNode
from coexec.compiler.pipeline import CompileReport

LIMITS = Limits()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "relu.onnx"
    path.write_bytes(OneNode("Relu", [np.zeros((2, 3), np.float32)]).model().SerializeToString())
    return path


@pytest_asyncio.fixture
async def server() -> AsyncIterator[CompileServer]:
    server = CompileServer()
    yield server
    server.close()


def _acting(code: str) -> CompileServer:
    """A server whose workers run `code` instead of compiling."""
    program = (
        "import os, signal, socket, sys, time; from coexec.compiler import worker\n"
        f"def answer(request): {code}\n"
        "worker.answer = answer\n"
        "worker.serve(socket.socket(fileno=int(sys.argv[1])))"
    )
    return CompileServer((sys.executable, "-c", program))


async def test_the_report_comes_back_whole(model: Path, server: CompileServer) -> None:
    target = model.with_suffix(".coexec")
    outcome = await server.compile(CompileRequest(model, target, "other"), LIMITS)
    assert outcome.report is not None
    report = CompileReport.from_json(outcome.report)
    assert (report.name, report.target) == ("other", target)
    assert report.description is not None
    assert [layer.op for layer in report.description.layers] == ["Relu"]
    assert (target / "program.pb").exists()
    assert outcome.signature is not None
    assert str(outcome.signature.inputs[0]) == "x0 f32[2, 3]"


async def test_a_model_that_needs_shapes_says_so(tmp_path: Path, server: CompileServer) -> None:
    made = OneNode("Relu", [np.zeros((1, 8), np.float32)]).model()
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    path = tmp_path / "relu.onnx"
    path.write_bytes(made.SerializeToString())
    target = tmp_path / "m.coexec"
    outcome = await server.compile(CompileRequest(path, target), LIMITS)
    assert outcome.report is None
    assert outcome.signature is not None
    assert outcome.signature.inputs[0].symbols == ("N", "")
    request = CompileRequest(path, target, shapes={"x0": (3, 8)})
    outcome = await server.compile(request, LIMITS)
    assert outcome.report is not None
    assert outcome.signature is None


async def test_the_childs_reason_is_raised(tmp_path: Path, server: CompileServer) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"nonsense")
    with pytest.raises(CompileError, match=r"bad\.onnx: not an ONNX model"):
        await server.compile(CompileRequest(path, tmp_path / "m.coexec"), LIMITS)
    with pytest.raises(CompileError, match="no scheme 'some'"):
        await server.compile(CompileRequest(path, tmp_path / "m", prune=["some=1"]), LIMITS)


async def test_too_little_memory_is_an_error_like_any(model: Path, server: CompileServer) -> None:
    limits = Limits(memory_bytes=64 << 20)
    request = CompileRequest(model, model.with_suffix(".coexec"))
    with pytest.raises(CompileError, match=r"relu(\.onnx)?: .*(memory|internal error|bad_alloc)"):
        await server.compile(request, limits)
    assert (await server.compile(request, LIMITS)).report is not None  # the server goes on


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died of signal SIGSEGV"),
        ("sys.stderr.write('so long'); os._exit(3)", r"ended with status 3 \(so long\)"),
        ("raise SystemExit(1)", r"ended with status 1 \(it said nothing\)"),
    ],
)
async def test_a_worker_that_dies_says_how(model: Path, code: str, error: str) -> None:
    server = _acting(code)
    try:
        request = CompileRequest(model, model.with_suffix(".coexec"))
        with pytest.raises(CompileError, match=f"relu.onnx: the compiler {error}"):
            await server.compile(request, LIMITS)
    finally:
        server.close()


def _workers() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def _until_gone(processes: list[psutil.Process]) -> None:
    async with asyncio.timeout(30):
        while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
            await asyncio.sleep(0.01)


async def test_what_takes_too_long_is_stopped(model: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    server = _acting(f"open({str(started)!r}, 'w').close(); time.sleep(600)")
    request = CompileRequest(model, model.with_suffix(".coexec"))
    try:
        compiling = asyncio.create_task(server.compile(request, LIMITS))
        async with asyncio.timeout(60):
            while not started.exists():
                await asyncio.sleep(0.01)
        own = _workers()[1:]
        assert own
        compiling.cancel()
        await _until_gone(own)
        with pytest.raises(CompileError, match=r"compiling took more than 0\.05 s"):
            await server.compile(request, Limits(seconds=0.05))
    finally:
        everything = _workers()
        server.close()
        await _until_gone(everything)


async def test_a_server_that_ended_is_started_again(model: Path, server: CompileServer) -> None:
    request = CompileRequest(model, model.with_suffix(".coexec"))
    await server.compile(request, LIMITS)
    # Its own children, which compile, may still be ending.
    (process,) = (p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE)
    process.kill()
    assert (await server.compile(request, LIMITS)).report is not None


async def test_a_server_that_cannot_start_says_so(model: Path) -> None:
    server = CompileServer((sys.executable, "-c", "pass"))
    with pytest.raises(CompileError, match="ends as soon as it is started"):
        await server.compile(CompileRequest(model, model.with_suffix(".coexec")), LIMITS)
    server.close()
