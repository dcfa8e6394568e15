"""NAME.coexec/: a folder with program.pb and weights.safetensors. Versioned and checksummed."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from google.protobuf.message import DecodeError

from coexec.kernels._kernels import Constant, TensorType
from coexec.kernels.program.errors import FormatError
from coexec.kernels.program.validate import validate
from coexec.kernels.program.weights import StoredConstant, Weights, write_weights
from coexec.protos import program_pb2

FORMAT_VERSION = 1
_MAGIC = "coexec"
_PROGRAM = "program.pb"
_WEIGHTS = "weights.safetensors"


class CompiledModel:
    """A compiled model read from disk. Constants stay on disk until a step packs them."""

    def __init__(self, path: Path, program: program_pb2.Program, weights: Weights) -> None:
        self.path = path
        self.program = program
        self.weights = weights

    def type_of(self, tensor: int) -> TensorType:
        """The kernels' type of tensor `tensor`. Its shape must be known."""
        return tensor_type(self.program.tensors[tensor].type)

    def constant(self, tensor: int) -> Constant:
        """A new Constant for tensor `tensor`; a weight store keeps one per content."""
        return self.weights.constant(self.program.tensors[tensor].digest, self.type_of(tensor))


def tensor_type(message: program_pb2.TensorType) -> TensorType:
    return TensorType(message.dtype, list(message.shape), message.layout or "dense")


def save(program: program_pb2.Program, constants: list[StoredConstant], target: Path) -> None:
    """Write the compiled model into the folder `target`, replacing what is there.

    The folder appears complete or not at all. Raises FormatError when the program is
    ill-formed or the target is no compiled model, and OSError when it cannot be written.
    """
    validate(program, str(target))
    _refuse_to_replace_others(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write_weights(constants, building / _WEIGHTS)
        body = program.SerializeToString(deterministic=True)
        envelope = program_pb2.Envelope(
            magic=_MAGIC,
            format_version=FORMAT_VERSION,
            program=body,
            program_sha256=hashlib.sha256(body).digest(),
            weights_sha256=_sha256(building / _WEIGHTS),
        )
        (building / _PROGRAM).write_bytes(envelope.SerializeToString())
        shutil.copymode(building / _PROGRAM, building / _WEIGHTS)  # whoever reads one, reads both
        building.chmod(0o755)
        _put_in_place(building, target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _put_in_place(building: Path, target: Path) -> None:
    """The folder that was there goes only when the new one stands in its place."""
    if not target.exists():
        building.replace(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    target.replace(old)
    try:
        building.replace(target)
    except OSError:
        old.replace(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_to_replace_others(target: Path) -> None:
    """A mistyped target must not cost its owner a folder, or a file."""
    if target.exists() and not target.is_dir():
        raise FormatError(f"{target}: is a file; a compiled model is a folder, name another")
    if not target.is_dir():
        return
    others = {entry.name for entry in target.iterdir()} - {_PROGRAM, _WEIGHTS}
    if others:
        raise FormatError(
            f"{target}: holds {min(others)}, so it is no compiled model to be replaced; "
            "name a folder of its own"
        )


def load(path: Path) -> CompiledModel:
    """Read a compiled model. Raises FormatError when it is missing, damaged or too new."""
    if not path.is_dir():
        raise FormatError(f"{path}: not a compiled model; expected a folder with {_PROGRAM}")
    envelope = read_envelope(path / _PROGRAM)
    if hashlib.sha256(envelope.program).digest() != envelope.program_sha256:
        raise FormatError(f"{path / _PROGRAM}: damaged, its checksum differs; compile it again")
    try:
        weights_sha256 = _sha256(path / _WEIGHTS)
    except OSError as error:
        raise FormatError(
            f"{path / _WEIGHTS}: {error.strerror}; compile the model again"
        ) from error
    if weights_sha256 != envelope.weights_sha256:
        raise FormatError(f"{path / _WEIGHTS}: damaged, its checksum differs; compile it again")
    program = program_pb2.Program()
    try:
        program.ParseFromString(envelope.program)
    except DecodeError as error:
        raise FormatError(f"{path / _PROGRAM}: cannot be decoded; compile it again") from error
    validate(program, str(path))
    return CompiledModel(path, program, Weights(path / _WEIGHTS))


def read_envelope(path: Path) -> program_pb2.Envelope:
    """The envelope of a program.pb, its checksums not yet compared."""
    envelope = program_pb2.Envelope()
    try:
        envelope.ParseFromString(path.read_bytes())
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}; expected a compiled model") from error
    except DecodeError as error:
        raise FormatError(
            f"{path}: not a compiled model, or truncated; compile it again"
        ) from error
    if envelope.magic != _MAGIC:
        raise FormatError(f"{path}: not a compiled model of coexec")
    if envelope.format_version != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format version {envelope.format_version}, this build reads "
            f"{FORMAT_VERSION}; compile the model again with this version, or upgrade coexec"
        )
    return envelope


def _sha256(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
