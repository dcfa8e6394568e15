"""What models are and what they answer, as callers see it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from coexec.protos import inference_pb2

from .codec import Array, item_bytes

Transport = Literal["message", "shared_memory"]
ParameterValue = bool | int | str | float


class Result(Mapping[str, Array]):
    """A model's answer: output name to array.

    transport says which way tensors went: "shared_memory" where at least one did.
    """

    def __init__(
        self,
        response: inference_pb2.ModelInferResponse,
        outputs: dict[str, Array],
        transport: Transport,
    ) -> None:
        self._outputs = outputs
        self.model = response.model_name
        self.version = response.model_version
        self.id = response.id
        self.transport = transport
        self.parameters = {name: _plain(value) for name, value in response.parameters.items()}

    def __getitem__(self, name: str) -> Array:
        try:
            return self._outputs[name]
        except KeyError:
            known = ", ".join(self._outputs)
            raise KeyError(f"{self.model} has no output {name!r}; it has {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k}: {v.dtype}{list(v.shape)}" for k, v in self._outputs.items())
        return f"<Result of {self.model}/{self.version} by {self.transport}: {shapes}>"


def _plain(value: inference_pb2.InferParameter) -> ParameterValue:
    kind = value.WhichOneof("parameter_choice")
    return getattr(value, kind) if kind else ""


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: its name, the protocol's datatype, its shape (-1: any)."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def byte_size(self) -> int | None:
        """Bytes it takes, or None where shape or elements are not fixed."""
        size = item_bytes(self.datatype)
        if size is None or min(self.shape, default=0) < 0:
            return None
        return size * math.prod(self.shape)


@dataclass(frozen=True)
class ModelMetadata:
    """What a model takes and gives."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    properties: dict[str, str]


@dataclass(frozen=True)
class ModelState:
    """A model of the repository. state: READY, UNAVAILABLE, LOADING, UNLOADING or UNKNOWN."""

    name: str
    version: str
    state: str
    reason: str
