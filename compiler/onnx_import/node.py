"""One ONNX node on its way to layers: what converters read, and what they emit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from coexec.compiler.ir.graph import AttrValue, IrError, Layer, TensorType, Value, dtype_name
from coexec.compiler.ir.ops import BY_NAME

Array: TypeAlias = npt.NDArray[Any]


_NONE: Mapping[Value, Layer] = {}


class NotNative(Exception):  # noqa: N818
    """A converter says no; the text says why. ONNX Runtime runs the node."""


class Node:
    """A node with its operands resolved. Converters emit layers into it and return the values
    that stand for the node's outputs."""

    def __init__(
        self,
        proto: onnx.NodeProto,
        opset: int,
        inputs: list[Value | None],
        makers: Mapping[Value, Layer] = _NONE,
    ) -> None:
        self.proto = proto
        self.op: str = proto.op_type
        self.opset = opset  # of the node's own domain
        self.name: str = proto.name or f"{proto.op_type}_{next(filter(None, proto.output), '')}"
        self.layers: list[Layer] = []
        self.outputs: list[Value | None] = []  # what the converter returned
        self._inputs = inputs
        self._makers = makers
        self._attrs = {a.name: a for a in proto.attribute}

    # What the node says.

    @property
    def input_count(self) -> int:
        return len(self._inputs)

    def input(self, i: int) -> Value:
        """Operand i, which must be there."""
        value = self.maybe(i)
        if value is None:
            raise NotNative(f"operand {i} is missing")
        return value

    def maybe(self, i: int) -> Value | None:
        return self._inputs[i] if i < len(self._inputs) else None

    def producer(self, value: Value) -> Layer | None:
        """The layer that computes the value; None for an input, a constant, or what no converter
        made."""
        return self._makers.get(value)

    def shape(self, i: int) -> tuple[int, ...]:
        return self.input(i).type.shape

    def known(self, i: int, what: str) -> Array | None:
        """Operand i as an array; None when absent. what: its name in the refusal."""
        value = self.maybe(i)
        if value is not None and value.constant is None:
            raise NotNative(f"{what}: known only at run time")
        return None if value is None else value.constant

    def known_ints(self, i: int, what: str) -> list[int] | None:
        array = self.known(i, what)
        return None if array is None else [int(v) for v in array.reshape(-1)]

    def uses_output(self, i: int) -> bool:
        return i < len(self.proto.output) and bool(self.proto.output[i])

    def only_output(self, what: str) -> None:
        """Refuses a node whose outputs past the first are read."""
        if any(self.uses_output(i) for i in range(1, len(self.proto.output))):
            raise NotNative(f"its {what} is used")

    def has(self, name: str) -> bool:
        return name in self._attrs

    def int_attr(self, name: str, default: int) -> int:
        return int(self._attrs[name].i) if name in self._attrs else default

    def float_attr(self, name: str, default: float) -> float:
        return float(self._attrs[name].f) if name in self._attrs else default

    def text_attr(self, name: str, default: str) -> str:
        return self._attrs[name].s.decode() if name in self._attrs else default

    def texts_attr(self, name: str) -> list[str]:
        return [s.decode() for s in self._attrs[name].strings] if name in self._attrs else []

    def floats_attr(self, name: str) -> list[float]:
        return [float(v) for v in self._attrs[name].floats] if name in self._attrs else []

    def tensor_attr(self, name: str) -> Array | None:
        if name not in self._attrs:
            return None
        return np.asarray(onnx.numpy_helper.to_array(self._attrs[name].t))

    def ints_attr(self, name: str, default: Sequence[int] = ()) -> list[int]:
        if name in self._attrs:
            return [int(v) for v in self._attrs[name].ints]
        return list(default)

    def ints_given(self, i: int, name: str) -> list[int] | None:
        """What older opsets give as attribute `name` and newer ones as operand i."""
        return self.ints_attr(name) if self.has(name) else self.known_ints(i, name)

    def axis(self, name: str, default: int, rank: int) -> int:
        return normal_axis(self.int_attr(name, default), rank)

    # What the converter emits.

    def constant(self, array: Array) -> Value:
        # ascontiguousarray alone would make a scalar one-dimensional.
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        return Value(f"{self.name}/const", TensorType(dtype_name(array.dtype), array.shape), array)

    def emit(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, AttrValue] | None = None,
    ) -> Value:
        """One more layer; its first result."""
        value = self.emit_all(op, inputs, attrs or {}, [True])[0]
        assert value is not None
        return value

    def emit_all(
        self,
        op: str,
        inputs: Sequence[Value | None],
        attrs: Mapping[str, AttrValue],
        used: Sequence[bool],
    ) -> list[Value | None]:
        """One more layer; a result for each True in used, None for the others."""
        types = infer(op, [None if v is None else v.type for v in inputs], attrs)
        place = f"{self.name}/{op}_{len(self.layers)}" if self.layers else self.name
        outputs = [
            Value(f"{place}:{k}", type) if k < len(used) and used[k] else None
            for k, type in enumerate(types)
        ]
        self.layers.append(Layer(op, place, list(inputs), outputs, dict(attrs)))
        return outputs

    def reshape(self, value: Value, shape: Sequence[int]) -> Value:
        """value in another shape: the value itself when it is the same, and no layer for a
        constant."""
        shape = tuple(int(d) for d in shape)
        if shape == value.type.shape:
            return value
        if value.constant is not None:
            return self.constant(value.constant.reshape(shape))
        return self.emit("Reshape", [value], {"shape": list(shape)})

    def transpose(self, value: Value, perm: Sequence[int]) -> Value:
        """value with its dims reordered; no layer for a constant or when nothing moves."""
        if list(perm) == list(range(len(perm))):
            return value
        if value.constant is not None:
            turned = self.constant(value.constant.transpose(perm))
            turned.integers = value.integers and value.integers.transposed(perm)
            return turned
        return self.emit("Transpose", [value], {"perm": [int(p) for p in perm]})


def infer(
    op: str, types: Sequence[TensorType | None], attrs: Mapping[str, AttrValue]
) -> list[TensorType]:
    """The layer's result types; NotNative with the reason when the op does not take these."""
    record = BY_NAME.get(op)
    if record is None:
        raise NotNative(f"the layer IR has no op {op}")
    try:
        return record.infer_types(types, attrs)
    except IrError as error:
        raise NotNative(str(error)) from None


def normal_axis(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    if not -rank <= axis < max(rank, 1):
        raise NotNative(f"axis {axis} is outside a tensor of rank {rank}")
    return axis + rank if axis < 0 else axis


def normal_axes(axes: Sequence[int], rank: int) -> list[int]:
    found = [normal_axis(axis, rank) for axis in axes]
    if len(set(found)) != len(found):
        raise NotNative(f"axes {list(axes)} name a dim twice")
    return found


Converter: TypeAlias = Callable[[Node], list[Value | None]]
