"""One version of a model, as requests see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coexec.compiler.signature import Signature, TensorSpec
from coexec.daemon.datatypes import BY_DTYPE, DataType
from coexec.daemon.errors import invalid
from coexec.daemon.repository.config import ServingOptions
from coexec.daemon.repository.programs import Programs, Shapes
from coexec.daemon.statistics import ModelStatistics
from coexec.protos import inference_pb2 as pb
from coexec.protos import model_config_pb2 as config_pb


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output. shape: -1 for a dim known only at run time."""

    name: str
    datatype: DataType
    shape: tuple[int, ...] | None  # None: any rank

    @staticmethod
    def of(spec: TensorSpec) -> Port:
        return Port(spec.name, BY_DTYPE[spec.dtype], spec.shape)

    def metadata(self) -> pb.ModelMetadataResponse.TensorMetadata:
        return pb.ModelMetadataResponse.TensorMetadata(
            name=self.name,
            datatype=self.datatype.wire,
            shape=(-1,) if self.shape is None else self.shape,
        )


@dataclass(slots=True, eq=False)
class ModelVersion:
    """identity: equal for two loads of the same content. aside: why it is not served any more;
    "" while it is."""

    name: str
    version: int
    identity: str
    config: config_pb.ModelConfig
    options: ServingOptions
    signature: Signature
    programs: Programs
    labels: dict[str, list[str]]
    on_blame: Callable[[ModelVersion], None]
    statistics: ModelStatistics = field(default_factory=ModelStatistics)
    load_us: int = 0
    aside: str = ""
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    output_index: dict[str, int] = field(default_factory=dict)
    version_text: str = ""

    def __post_init__(self) -> None:
        self.inputs = tuple(map(Port.of, self.signature.inputs))
        self.outputs = tuple(map(Port.of, self.signature.outputs))
        self.output_index = {port.name: i for i, port in enumerate(self.outputs)}
        self.version_text = str(self.version)

    def blame(self, reason: str) -> None:
        """The engine cannot run it: it is served no more, until it is loaded again."""
        self.aside = reason
        self.on_blame(self)

    def check_shapes(self, shapes: Shapes) -> None:
        """Raises RequestError unless the inputs can have them."""
        symbols: dict[str, int] = {}
        for port, spec, shape in zip(self.inputs, self.signature.inputs, shapes, strict=True):
            if port.shape is not None and port.shape != shape:
                self._check_shape(port, shape)
            for symbol, dim in zip(spec.symbols, shape, strict=False):
                if symbol and symbols.setdefault(symbol, dim) != dim:
                    raise invalid(
                        f"input '{port.name}' of model '{self.name}' is given {list(shape)}, but "
                        f"its dim '{symbol}' is {symbols[symbol]} in another input"
                    )
        if self.options.max_batch:
            self._check_batch(shapes)

    def _check_shape(self, port: Port, shape: Sequence[int]) -> None:
        want = port.shape or ()
        fits = len(want) == len(shape) and all(
            a in (-1, b) for a, b in zip(want, shape, strict=True)
        )
        if not fits:
            raise invalid(
                f"unexpected shape for input '{port.name}' for model '{self.name}'. Expected "
                f"{list(want)}, got {list(shape)}"
            )

    def _check_batch(self, shapes: Shapes) -> None:
        batches = {shape[0] for shape in shapes}
        if len(batches) > 1 or max(batches) > self.options.max_batch:
            raise invalid(
                f"inference request batch-size must be <= {self.options.max_batch} and equal for "
                f"all inputs of '{self.name}', got {sorted(batches)}"
            )

    def batch_of(self, shapes: Shapes) -> int:
        return shapes[0][0] if self.options.max_batch and shapes else 1

    def find_output(self, name: str) -> int:
        """Raises RequestError for a name it does not have."""
        index = self.output_index.get(name)
        if index is None:
            raise invalid(
                f"unexpected inference output '{name}' for model '{self.name}'; it has "
                f"{', '.join(self.output_index)}"
            )
        return index
