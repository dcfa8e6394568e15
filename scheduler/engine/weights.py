"""Constants of all loaded programs, equal ones once."""

from __future__ import annotations

from dataclasses import dataclass, field

from coexec.kernels._kernels import Constant
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.weights import Weights

Key = tuple[str, tuple[int, ...], str, bytes]  # dtype, shape, layout, digest


@dataclass(slots=True)
class StoredWeight:
    """One constant, and the programs that use it. nbytes: what it takes, zeros left out."""

    key: Key
    constant: Constant
    source: Weights
    nbytes: int
    users: set[int] = field(default_factory=set)


class WeightStore:
    """Keeps one Constant for all programs whose bytes are equal: the packed forms that steps
    make of it are shared with it. Not thread-safe."""

    def __init__(self) -> None:
        self._stored: dict[Key, list[StoredWeight]] = {}  # several: a digest met by other bytes

    def constant(self, program_id: int, model: CompiledModel, tensor: int) -> Constant:
        """The Constant for a constant tensor of the model. Raises FormatError."""
        digest = model.program.tensors[tensor].digest
        kind = model.type_of(tensor)
        key = (kind.dtype, kind.shape, kind.layout, digest)
        known = self._stored.setdefault(key, [])
        for stored in known:
            if program_id in stored.users:  # compared before
                return stored.constant
            if stored.source is model.weights or model.weights.same(
                digest, kind.layout, stored.source
            ):
                stored.users.add(program_id)
                return stored.constant
        nbytes = model.weights.stored_bytes(digest, kind.layout)
        made = StoredWeight(key, model.constant(tensor), model.weights, nbytes, {program_id})
        known.append(made)
        return made.constant

    def release(self, program_id: int) -> None:
        """Forget what only this program used."""
        for key, known in list(self._stored.items()):
            for stored in known:
                stored.users.discard(program_id)
            self._stored[key] = [stored for stored in known if stored.users]
            if not self._stored[key]:
                del self._stored[key]

    def drop_pages(self) -> None:
        """Let the operating system take back what packing and comparing read from the files."""
        for source in {id(stored.source): stored.source for stored in self.all()}.values():
            source.file.drop()

    def all(self) -> list[StoredWeight]:
        return [stored for known in list(self._stored.values()) for stored in list(known)]

    def program_bytes(self, program_id: int) -> int:
        """What the program's constants would take if it stored its own."""
        return sum(stored.nbytes for stored in self.all() if program_id in stored.users)
