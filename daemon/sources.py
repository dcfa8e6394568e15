"""The tensors a request brings, wherever they lie, on their way into the engine's memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from coexec.daemon.codec import check_bytes, contents_bytes, elements
from coexec.daemon.datatypes import BY_WIRE, DataType
from coexec.daemon.errors import RequestError, exhausted, invalid
from coexec.daemon.parameters import Placement, read_placement
from coexec.daemon.regions import Region, Regions
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.wire import Buffer
from coexec.protos import inference_pb2 as pb
from coexec.scheduler._core import Input, Slot, SlotsFullError


class Allocator(Protocol):
    """The part of Channel that makes slots."""

    def allocate(self, nbytes: int) -> Slot: ...


class Source:
    """One input tensor: its bytes, or where in a region they lie. One slot is made of it however
    many models read it, so that the engine sees one value."""

    __slots__ = ("_data", "_offset", "_region", "_slot", "byte_size", "datatype", "name", "shape")

    def __init__(self, name: str, datatype: DataType, shape: tuple[int, ...]) -> None:
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.byte_size = 0
        self._data: Buffer = b""
        self._region: Region | None = None
        self._offset = 0
        self._slot: Slot | None = None

    def hold(self, data: Buffer) -> None:
        check_bytes(self.name, self.datatype, self.shape, data)
        self._data = data
        self.byte_size = len(data)

    def point(self, region: Region, placement: Placement) -> None:
        """Raises RequestError when the placement lies outside, or does not fit the shape."""
        region.check(placement.offset, placement.byte_size)
        count = elements(self.name, self.shape)
        want = count * self.datatype.item_bytes
        if self.datatype.item_bytes and placement.byte_size != want:
            raise invalid(
                f"unexpected total byte size {placement.byte_size} for input '{self.name}' in "
                f"shared memory region '{region.name}', expecting {want}"
            )
        self._region = region
        self._offset = placement.offset
        self.byte_size = placement.byte_size

    def input(self, allocator: Allocator) -> Input:
        """The tensor in the engine's memory. Raises RequestError."""
        if self._slot is None:
            self._slot = self._fill(allocator)
        try:
            return Input(self._slot, self.datatype.dtype, self.shape)
        except (TypeError, ValueError) as error:  # more dims, or larger ones, than the engine takes
            raise invalid(f"input '{self.name}' of shape {list(self.shape)}: {error}") from None

    def _fill(self, allocator: Allocator) -> Slot:
        try:
            slot = allocator.allocate(self.byte_size)
        except SlotsFullError as error:
            raise exhausted(f"no room for input '{self.name}' now: {error}") from None
        target = slot.array.data[: self.byte_size]
        if self._region is None:
            target[:] = self._data
        else:
            self._region.read_into(target, self._offset)
            if not self.datatype.item_bytes:
                check_bytes(self.name, self.datatype, self.shape, target)
        if self.datatype.dtype == "bool":  # any byte but 0 is true on the wire, only 1 in a kernel
            values = np.frombuffer(target, np.uint8)
            np.minimum(values, 1, out=values)
        return slot


def read_sources(
    inputs: Iterable[pb.ModelInferRequest.InferInputTensor],
    raw: Sequence[Buffer],
    regions: Regions,
) -> dict[str, Source]:
    """Every input by name. raw is consumed in order by those that are neither in shared memory
    nor have contents. Raises RequestError."""
    sources: dict[str, Source] = {}
    used = 0
    for tensor in inputs:
        name = tensor.name
        if name in sources:
            raise invalid(f"input '{name}' is given twice")
        source = sources[name] = Source(name, _datatype(tensor), tuple(tensor.shape))
        placement = read_placement(name, tensor.parameters)
        if placement is not None:
            if tensor.HasField("contents"):
                raise invalid(f"input '{name}' is in shared memory and has contents; one of them")
            source.point(regions.get(placement.region), placement)
        elif tensor.HasField("contents"):
            if raw:
                raise invalid(
                    "contents field must not be specified when using raw_input_contents for "
                    f"'{name}'"
                )
            source.hold(contents_bytes(name, source.datatype, source.shape, tensor.contents))
        elif used < len(raw):
            source.hold(raw[used])
            used += 1
        elif raw or elements(name, source.shape):
            raise invalid(
                f"unable to find data for input tensor '{name}': {len(raw)} raw_input_contents "
                "are given, and it has neither contents nor a shared memory region"
            )
    if used < len(raw):
        raise invalid(f"{len(raw)} raw_input_contents are given, {used} inputs have no other data")
    return sources


def _datatype(tensor: pb.ModelInferRequest.InferInputTensor) -> DataType:
    datatype = BY_WIRE.get(tensor.datatype)
    if datatype is None:
        raise invalid(
            f"unknown datatype '{tensor.datatype}' for input '{tensor.name}'; known are "
            f"{', '.join(BY_WIRE)}"
        )
    return datatype


def bind(version: ModelVersion, sources: Mapping[str, Source]) -> list[Source]:
    """The sources of the model's inputs, in its order. Raises RequestError for a missing one, a
    wrong datatype, and shapes the model does not take."""
    bound: list[Source] = []
    for port in version.inputs:
        source = sources.get(port.name)
        if source is None:
            raise _missing(version, sources)
        if source.datatype is not port.datatype:
            raise invalid(
                f"inference input '{port.name}' data-type is '{source.datatype.wire}', but model "
                f"'{version.name}' expects '{port.datatype.wire}'"
            )
        bound.append(source)
    version.check_shapes(tuple(source.shape for source in bound))
    return bound


def _missing(version: ModelVersion, sources: Mapping[str, Source]) -> RequestError:
    """Counts only what the model takes: of a call to several models, the rest may be another's."""
    known = [port.name for port in version.inputs]
    missing = [f"'{name}'" for name in known if name not in sources]
    others = [f"'{name}'" for name in sources if name not in known]
    text = (
        f"expected {len(known)} inputs but got {len(known) - len(missing)} inputs for model "
        f"'{version.name}': {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    )
    return invalid(f"{text}; it does not take {', '.join(others)}" if others else text)


def check_known(version: ModelVersion, sources: Mapping[str, Source]) -> None:
    """Raises RequestError for an input that the model does not have."""
    known = {port.name for port in version.inputs}
    for name in sources:
        if name not in known:
            raise invalid(
                f"unexpected inference input '{name}' for model '{version.name}'; it takes "
                f"{', '.join(port.name for port in version.inputs) or 'none'}"
            )
