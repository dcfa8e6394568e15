import contextlib
import math
import os
import re
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import import read_model
from coexec.compiler.signature import ELEMENTS_MAX

_TEXT = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x) => (float[2] y) <float[2] w = {1.0, 2.0}> {y = Add(x, w)}"""


def _model() -> onnx.ModelProto:
    return onnx.parser.parse_model(_TEXT)


def _write(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _external(folder: Path, location: str, **more: int) -> Path:
    """A model whose weight says it lies in `location`."""
    model = _model()
    weight = model.graph.initializer[0]
    weight.ClearField("float_data")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        weight.external_data.add(key=key, value=str(value))
    return _write(folder, model)


def _weight(path: Path) -> list[float]:
    array = onnx.numpy_helper.to_array(read_model(path).model.graph.initializer[0])
    return [float(v) for v in array]


def test_a_sound_model(tmp_path: Path) -> None:
    source = read_model(_write(tmp_path, _model()))
    assert source.model_error == ""
    assert len(source.sha256) == 32


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    data = np.array([9, 3, 4], np.float32)
    (tmp_path / "weights/w.bin").write_bytes(data.tobytes())
    path = _external(tmp_path, "weights/w.bin", offset=4, length=8)
    assert _weight(path) == [3.0, 4.0]
    first = read_model(path).sha256
    (tmp_path / "weights/w.bin").write_bytes((data + 1).tobytes())
    assert read_model(path).sha256 != first


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../outside.bin", "a/../../outside.bin", "", "link.bin", "."]
)
def test_external_data_may_not_leave_the_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(bytes(8))
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    with pytest.raises(CompileError, match=r"tensor w keeps its data in .*(leaves|does not exist)"):
        read_model(_external(folder, location))


def test_external_data_with_a_nul_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="does not exist"):
        read_model(_external(tmp_path, "missing.bin"))
    with pytest.raises(CompileError, match=r"is no file name|does not exist"):
        read_model(_external(tmp_path, "a\0b"))


@pytest.mark.parametrize(
    "more", [{"offset": 1}, {"length": 4}, {"offset": -8}, {"length": 2**63}, {"offset": 2**70}]
)
def test_external_data_must_fit_its_file(tmp_path: Path, more: dict[str, int]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(8))
    with pytest.raises(CompileError, match="tensor w of 8 bytes cannot lie at offset"):
        read_model(_external(tmp_path, "w.bin", **more))


def test_a_fifo_is_no_data_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.bin")
    with pytest.raises(CompileError, match="does not exist"):
        read_model(_external(tmp_path, "w.bin"))


@pytest.mark.parametrize("dims", [[-1], [2**40, 2**40], [2**62, 4], [ELEMENTS_MAX + 1]])
def test_impossible_dimensions(tmp_path: Path, dims: list[int]) -> None:
    model = _model()
    model.graph.initializer[0].ClearField("dims")
    model.graph.initializer[0].dims.extend(dims)
    with pytest.raises(CompileError, match=r"tensor w declares dimensions \["):
        read_model(_write(tmp_path, model))
    model = _model()
    shape = model.graph.input[0].type.tensor_type.shape
    del shape.dim[:]
    for dim in dims:
        shape.dim.add(dim_value=dim)
    with pytest.raises(CompileError, match=r"tensor x declares dimensions \["):
        read_model(_write(tmp_path, model))
    assert math.prod(dims) < 0 or math.prod(dims) > ELEMENTS_MAX


@pytest.mark.parametrize("data", [b"", b"hello", b"\x08\x08", bytes(100), b"\xff" * 64])
def test_what_is_no_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(data)
    with pytest.raises(CompileError, match=r"x\.onnx: not an ONNX model"):
        read_model(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="cannot be read: No such file"):
        read_model(tmp_path / "none.onnx")
    with pytest.raises(CompileError, match="not a file"):
        read_model(tmp_path)


def test_names_must_be_text(tmp_path: Path) -> None:
    model = _model()
    model.graph.node[0].name = "layer"
    path = tmp_path / "x.onnx"
    path.write_bytes(model.SerializeToString().replace(b"layer", b"l\xffyer"))
    with pytest.raises(CompileError, match=r"the name b'l\\xffyer' is not UTF-8"):
        read_model(path)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("{a = Relu(b) b = Relu(a) y = Add(x, a)}", "not output of any previous nodes"),
        ("{y = Relu(gone)}", "not output of any previous nodes"),
        ("{y = Relu(x) y = Relu(x)}", "SSA|has been used"),
        ("{y = NoSuchOp(x)}", "No Op registered for NoSuchOp"),
        ("{y = Relu(x, x)}", "[Nn]umber of inputs|input size"),
    ],
)
def test_what_the_checker_finds_is_kept(tmp_path: Path, body: str, error: str) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) ' + body
    source = read_model(_write(tmp_path, onnx.parser.parse_model(text)))
    assert source.model_error
    assert re.search(error, source.model_error), source.model_error


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damaged_files_never_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(_model().SerializeToString())
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(CompileError):
        read_model(path)
