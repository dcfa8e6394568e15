"""An inference call before it is a message: which models, what inputs, what lies where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .arguments import INT64_MAX, UINT64_MAX, output_names, seconds, text, version_text, whole
from .codec import Array, datatype_of
from .errors import ArgumentError
from .model import ModelMetadata

Version = str | int  # "" is the newest
Model = str | tuple[str, Version]  # a name, or a name and a version
Inputs = Mapping[str, Array] | Array

SHARED_BYTES_MIN = 1 << 16  # larger tensors go through shared memory
_ALIGNMENT = 64


@dataclass(frozen=True)
class Target:
    """One model of a call, and which of its outputs are wanted (None: all)."""

    model: str
    version: str = ""
    outputs: tuple[str, ...] | None = None
    metadata: ModelMetadata | None = None  # known: large outputs may use shared memory

    @property
    def label(self) -> str:
        """The model's name, with the version where one was asked for."""
        return f"{self.model}/{self.version}" if self.version else self.model

    def output_sizes(self) -> dict[str, int] | None:
        """Wanted output to bytes, 0 where not fixed; None where no output is large."""
        if self.metadata is None:
            return None
        sizes = {info.name: info.byte_size or 0 for info in self.metadata.outputs}
        if self.outputs is not None:
            sizes = {name: sizes.get(name, 0) for name in self.outputs}
        return sizes if any(size > SHARED_BYTES_MIN for size in sizes.values()) else None


@dataclass(frozen=True)
class Call:
    """One call: models, the inputs they share, and how it is to be treated."""

    targets: tuple[Target, ...]
    inputs: Mapping[str, Array]
    deadline_us: int | None = None
    priority: int = 0
    request_id: str = ""


@dataclass
class Layout:
    """Where a call's large tensors lie in one region: offset and bytes."""

    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    outputs: list[dict[str, tuple[int, int]]] = field(default_factory=list)  # one per target
    byte_size: int = 0

    def _place(self, size: int) -> tuple[int, int]:
        offset = self.byte_size
        self.byte_size = (offset + size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
        return offset, size

    @classmethod
    def of(cls, call: Call) -> "Layout":
        """The layout of `call`; byte_size 0 where nothing in it is large."""
        layout = cls()
        for name, array in call.inputs.items():
            if array.nbytes > SHARED_BYTES_MIN and datatype_of(array) != "BYTES":
                layout.inputs[name] = layout._place(array.nbytes)
        for target in call.targets:
            sizes = target.output_sizes() or {}
            layout.outputs.append(
                {n: layout._place(size) for n, size in sizes.items() if size > SHARED_BYTES_MIN}
            )
        return layout


MESSAGE_ONLY = Layout()


def pairs(models: Sequence[Model]) -> list[tuple[str, str]]:
    """Models as pairs of name and version.

    Raises ArgumentError where there is none, or one is no such pair.
    """
    if not models:
        raise ArgumentError("models is empty; name at least one model")
    if isinstance(models, str):
        raise ArgumentError(f"models is {models!r}; it must be a list of names")
    return [_pair(model) for model in models]


def _pair(model: Model) -> tuple[str, str]:
    name, version = model if isinstance(model, tuple) and len(model) == 2 else (model, "")
    return text("model", name), version_text(version)


@dataclass(frozen=True, slots=True)
class Options:
    """How a call is to be treated, as its caller says it; see Client.infer."""

    outputs: Sequence[str] | None = None
    timeout_s: float | None = None
    deadline_us: int | None = None
    priority: int = 0
    request_id: str = ""


def make_call(
    models: Sequence[tuple[str, str]],
    known: Sequence[ModelMetadata | None],
    inputs: Inputs,
    options: Options,
) -> Call:
    """The call to `models`, of which the metadata are `known` or None.

    Raises ArgumentError for what cannot be sent.
    """
    wanted = output_names(options.outputs)
    deadline_us = options.deadline_us
    if deadline_us is not None:
        deadline_us = whole("deadline_us", deadline_us, INT64_MAX)
    if options.timeout_s is not None:
        seconds("timeout_s", options.timeout_s)
    priority = whole("priority", options.priority, UINT64_MAX)
    request_id = text("request_id", options.request_id)
    targets = tuple(
        Target(name, version, wanted, metadata)
        for (name, version), metadata in zip(models, known, strict=True)
    )
    named = named_inputs(inputs, next(filter(None, known), None))
    return Call(targets, named, deadline_us, priority, request_id)


def named_inputs(
    inputs: Mapping[str, Array] | Array, metadata: ModelMetadata | None
) -> dict[str, Array]:
    """Inputs by name. A bare array is the input of a model that has only one.

    Raises ArgumentError where the model has several, and for what is no array.
    """
    if isinstance(inputs, Mapping):
        return {name: _array(name, array) for name, array in inputs.items()}
    assert metadata is not None
    if len(metadata.inputs) != 1:
        names = ", ".join(info.name for info in metadata.inputs)
        raise ArgumentError(f"{metadata.name} takes {names}: give a mapping of names to arrays")
    return {metadata.inputs[0].name: _array(metadata.inputs[0].name, inputs)}


def _array(name: str, given: object) -> Array:
    """Raises ArgumentError for what is no array that can be sent."""
    if not isinstance(name, str):
        raise ArgumentError(f"inputs has the key {name!r}; its keys must be the inputs' names")
    if given is None:
        raise ArgumentError(f"input '{name}' is None; give an array")
    try:
        array = np.asarray(given)
        datatype_of(array)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"input '{name}': {error}") from None
    if array.dtype.kind == "O" and not all(isinstance(i, str | bytes) for i in array.ravel()):
        raise ArgumentError(f"input '{name}' is an array of objects; only bytes and str can be")
    return array
