import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coexec.kernels.program import format
from coexec.kernels.program.errors import FormatError
from coexec.kernels.program.weights import StoredConstant
from coexec.protos import program_pb2


def _program() -> tuple[program_pb2.Program, list[StoredConstant]]:
    """y = x + w, with w stored densely and, unused, sparsely."""
    w = np.array([[0, 1, 0], [2, 0, 0]], np.float32)
    digest = hashlib.blake2b(w.tobytes()).digest()
    kind = program_pb2.TensorType(dtype="f32", shape=[2, 3], layout="dense")
    sparse = program_pb2.TensorType(dtype="f32", shape=[2, 3], layout="csr")
    program = program_pb2.Program(name="toy")
    program.tensors.add(name="x", type=kind)
    program.tensors.add(name="w", type=kind, constant=True, digest=digest)
    program.tensors.add(name="w_sparse", type=sparse, constant=True, digest=digest)
    program.tensors.add(name="y", type=kind)
    program.layers.add(name="add", op="Add", inputs=[0, 1], outputs=[3])
    program.inputs.append(0)
    program.outputs.append(3)
    stored = [StoredConstant(digest, "f32", layout, w) for layout in ("dense", "csr")]
    return program, stored


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "toy.coexec"
    format.save(*_program(), path)
    return path


def test_what_is_saved_is_read_back(saved: Path) -> None:
    model = format.load(saved)
    assert model.program == _program()[0]
    assert model.constant(1).type.shape == (2, 3)
    assert model.constant(2).type.layout == "csr"
    assert model.weights.stored_bytes(model.program.tensors[2].digest, "csr") == 2 * 4 + 1


@pytest.mark.parametrize("name", ["program.pb", "weights.safetensors"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_changed_byte_is_noticed(saved: Path, name: str, data: st.DataObject) -> None:
    path = saved / name
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    try:
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        with pytest.raises(FormatError):
            format.load(saved)
        path.write_bytes(good[:at])
        with pytest.raises(FormatError):
            format.load(saved)
    finally:
        path.write_bytes(good)


def test_a_newer_version_is_refused_by_name(saved: Path) -> None:
    path = saved / "program.pb"
    envelope = program_pb2.Envelope.FromString(path.read_bytes())
    envelope.format_version = 99
    path.write_bytes(envelope.SerializeToString())
    with pytest.raises(FormatError, match="format version 99, this build reads 1"):
        format.load(saved)


@pytest.mark.parametrize("name", ["program.pb", "weights.safetensors"])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(FormatError, match=name):
        format.load(saved)


def test_a_program_that_reads_ahead_is_refused(tmp_path: Path) -> None:
    program, constants = _program()
    program.layers[0].inputs[0] = 3
    with pytest.raises(FormatError, match="reads 'y' before it is computed"):
        format.save(program, constants, tmp_path / "toy.coexec")


def test_an_index_out_of_range_is_refused(tmp_path: Path) -> None:
    program, constants = _program()
    program.layers[0].inputs[0] = 77
    with pytest.raises(FormatError, match="names tensor 77, but there are 4"):
        format.save(program, constants, tmp_path / "toy.coexec")
    assert not list(tmp_path.iterdir())


def test_a_reshape_to_another_size_is_refused(tmp_path: Path) -> None:
    program, constants = _program()
    program.layers[0].op = "Reshape"
    del program.layers[0].inputs[1]
    program.tensors[3].type.shape[1] = 300
    with pytest.raises(FormatError, match=r"cannot make f32\[2, 300\] of f32\[2, 3\]"):
        format.save(program, constants, tmp_path / "toy.coexec")


def test_a_concat_of_parts_that_do_not_fit_is_refused(tmp_path: Path) -> None:
    program, constants = _program()
    program.layers[0].op = "Concat"
    with pytest.raises(FormatError, match=r"cannot join .* along axis -1 to f32\[2, 3\]"):
        format.save(program, constants, tmp_path / "toy.coexec")
    program.layers[0].attrs["axis"].i = 0
    with pytest.raises(FormatError, match=r"cannot join .* along axis 0 to f32\[2, 3\]"):
        format.save(program, constants, tmp_path / "toy.coexec")
    program.layers[0].inputs[1] = -1
    with pytest.raises(FormatError, match="must have one result and no absent operand"):
        format.save(program, constants, tmp_path / "toy.coexec")


def test_a_layer_that_computes_nothing_is_refused(tmp_path: Path) -> None:
    program, constants = _program()
    program.layers.add(name="idle", op="Relu", inputs=[0])
    with pytest.raises(FormatError, match="'idle' is native, but reads or computes nothing"):
        format.save(program, constants, tmp_path / "toy.coexec")


def test_replacing_leaves_the_new_model_and_nothing_else(saved: Path) -> None:
    program, constants = _program()
    program.name = "second"
    format.save(program, constants, saved)
    assert format.load(saved).program.name == "second"
    assert list(saved.parent.iterdir()) == [saved]


def test_the_old_model_stays_when_the_new_one_cannot_take_its_place(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace
    failed: list[Path] = []

    def fail_once(self: Path, target: Path) -> Path:
        if target == saved and not failed:
            failed.append(self)
            raise OSError("no space")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(OSError, match="no space"):
        format.save(*_program(), saved)
    assert format.load(saved).program.name == _program()[0].name
    assert list(saved.parent.iterdir()) == [saved]


def test_only_a_compiled_model_is_replaced(saved: Path) -> None:
    format.save(*_program(), saved)
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(FormatError, match=r"holds notes\.txt"):
        format.save(*_program(), saved)
    assert (saved / "notes.txt").read_text() == "mine"
