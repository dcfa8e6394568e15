"""Small compiled models, and a daemon's side that is as small, for the tests here."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from coexec.kernels.program import format
from coexec.kernels.program.dtypes import numpy_dtype
from coexec.kernels.program.weights import StoredConstant
from coexec.protos import program_pb2
from coexec.scheduler import _core
from coexec.scheduler.engine.client import EngineOptions, EngineProcess

Array = npt.NDArray[Any]
_NO_ACTIVATION: dict[str, str | float] = {
    "activation": "",
    "activation_alpha": 0.0,
    "activation_beta": 0.0,
}


class ModelBuilder:
    """Writes a compiled model by hand, with digests as the compiler would give them."""

    def __init__(self, name: str) -> None:
        self.program = program_pb2.Program(name=name)
        self._constants: dict[bytes, StoredConstant] = {}

    def input(self, shape: Sequence[int], dtype: str = "f32") -> int:
        at = len(self.program.inputs)
        digest = hashlib.blake2b(f"input {at} {dtype} {list(shape)}".encode()).digest()
        tensor = self._tensor(f"input{at}", dtype, shape, digest)
        self.program.inputs.append(tensor)
        return tensor

    def constant(self, array: Array) -> int:
        digest = hashlib.blake2b(str(array.shape).encode() + array.tobytes()).digest()
        self._constants[digest] = StoredConstant(digest, "f32", "dense", array)
        tensor = self._tensor(f"constant{len(self.program.tensors)}", "f32", array.shape, digest)
        self.program.tensors[tensor].constant = True
        return tensor

    def layer(
        self,
        op: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        attrs: Mapping[str, str | float] | None = None,
        *,
        dtype: str = "f32",
        measured_us: float = 0.0,
        onnx_model: bytes = b"",
    ) -> int:
        attrs = attrs or {}
        digests = b"".join(self.program.tensors[i].digest for i in inputs if i != -1)
        text = f"{op} {sorted(attrs.items())}".encode() + onnx_model
        output = self._tensor(
            f"value{len(self.program.tensors)}",
            dtype,
            shape,
            hashlib.blake2b(text + digests).digest(),
        )
        layer = self.program.layers.add(
            name=f"{op.lower()}{len(self.program.layers)}",
            op=op,
            inputs=inputs,
            outputs=[output],
            measured_us=measured_us,
            onnx_model=onnx_model,
        )
        for name, value in attrs.items():
            if isinstance(value, str):
                layer.attrs[name].s = value
            else:
                layer.attrs[name].f = value
        return output

    def gemm(self, x: int, weight: Array, measured_us: float = 0.0) -> int:
        shape = [*self.program.tensors[x].type.shape[:-1], weight.shape[0]]
        inputs = [x, self.constant(weight), -1, -1]
        return self.layer("Gemm", inputs, shape, _NO_ACTIVATION, measured_us=measured_us)

    def onnx(self, x: int, op: str) -> int:
        """The op, run by ONNX Runtime, on a tensor of unchanged type."""
        kind = self.program.tensors[x].type
        onnx_type = onnx.helper.np_dtype_to_tensor_dtype(numpy_dtype(kind.dtype))
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(op, ["x"], ["y"])],
            "layer",
            [value("x", onnx_type, list(kind.shape))],
            [value("y", onnx_type, list(kind.shape))],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
        )
        return self.layer(
            "OnnxRuntime",
            [x],
            kind.shape,
            dtype=kind.dtype,
            onnx_model=model.SerializeToString(),
        )

    def save(self, folder: Path, outputs: Sequence[int]) -> str:
        self.program.outputs.extend(outputs)
        path = folder / f"{self.program.name}.coexec"
        format.save(self.program, list(self._constants.values()), path)
        return str(path)

    def _tensor(self, name: str, dtype: str, shape: Sequence[int], digest: bytes) -> int:
        kind = program_pb2.TensorType(dtype=dtype, shape=shape, layout="dense")
        self.program.tensors.add(name=name, type=kind, digest=digest)
        return len(self.program.tensors) - 1


def random_weight(seed: int, size: int) -> Array:
    generator = np.random.default_rng(seed)
    weight: Array = generator.standard_normal((size, size)).astype(np.float32)
    return weight / np.float32(np.sqrt(size))


def save_family_member(
    folder: Path, name: str, *, size: int = 64, rows: int = 4, depth: int = 3, head: int
) -> str:
    """A backbone of `depth` products, the same for all heads, and a head of its own."""
    builder = ModelBuilder(name)
    x = builder.input([rows, size])
    for seed in range(depth):
        x = builder.layer("Relu", [builder.gemm(x, random_weight(seed, size))], [rows, size])
    return builder.save(folder, [builder.gemm(x, random_weight(1000 + head, size))])


class Daemon:
    """Enough of a daemon to submit and to wait."""

    def __init__(self, channel: _core.Channel, engine: EngineProcess) -> None:
        self.channel = channel
        self.engine = engine
        self._last = 0
        self._waiting: dict[int, asyncio.Future[_core.Reply]] = {}
        asyncio.get_running_loop().add_reader(channel.fileno(), self._poll)

    def put(self, array: Array) -> _core.Input:
        slot = self.channel.allocate(array.nbytes)
        slot.array[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return _core.Input(slot, {"float32": "f32", "int64": "i64"}[array.dtype.name], array.shape)

    def submit(
        self,
        program_id: int,
        inputs: Sequence[_core.Input],
        *,
        deadline_us: int = 0,
        priority: int = 0,
        scope: int = 0,
    ) -> tuple[int, asyncio.Future[_core.Reply]]:
        self._last += 1
        future = asyncio.get_running_loop().create_future()
        self._waiting[self._last] = future
        self.channel.submit(
            self._last,
            program_id,
            inputs,
            deadline_us=deadline_us,
            priority=priority,
            scope=scope,
        )
        return self._last, future

    async def infer(self, program_id: int, *arrays: Array, **options: int) -> _core.Reply:
        return await self.submit(program_id, [self.put(a) for a in arrays], **options)[1]

    def _poll(self) -> None:
        for reply in self.channel.poll():
            self._waiting.pop(reply.request_id).set_result(reply)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.channel.fileno())
        await self.engine.stop()


def floats(reply: _core.Reply, output: int = 0) -> Array:
    assert reply.code == 0, reply.message
    out = reply.outputs[output]
    return out.array.view(numpy_dtype(out.dtype)).reshape(out.shape).copy()


@asynccontextmanager
async def running(options: EngineOptions | None = None) -> AsyncIterator[Daemon]:
    channel = _core.Channel(1 << 26, 1 << 26, 1 << 18)
    daemon = Daemon(channel, await EngineProcess.start(channel, options or EngineOptions()))
    try:
        yield daemon
    finally:
        await daemon.close()
