"""Round trip of an identity model: what a call costs besides the computing.

    python -m bench.roundtrip [--calls N] [--kib N]

Measures, by turns and in one run: Triton's Python client with the tensor in the message and by
system shared memory, our own client (which chooses), and, as the floor, an empty handler on a
bare grpcio server with the same message.
"""

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import onnx
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import shared_memory

from bench.compare import alternate
from bench.serving import repository, serve
from coexec.clients import Client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--kib", type=int, default=586, help="input size; 586 is 600 KB")
    arguments = parser.parse_args()
    x = np.random.default_rng(0).standard_normal((1, arguments.kib * 256)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = repository(folder / "models", {"identity": _identity(folder, x.shape[1])})
        with (
            serve(folder / "daemon", "--model-repository", str(models)) as daemon,
            daemon.client() as client,
            Client(daemon.address) as own,
            _BareServer(f"unix:{folder / 'bare.sock'}") as bare,
        ):
            result = own.infer("identity", {"x": x})
            print(f"our client chose: {result.transport}")
            times = alternate(
                {
                    "empty grpcio handler, message": bare(x),
                    "triton client, message": _message(client, x),
                    "triton client, shared memory": _shared(client, x),
                    "our client": lambda: own.infer("identity", {"x": x}),
                },
                arguments.calls,
                warmup=20,
            )
            client.unregister_system_shared_memory()
    for label, values in times.items():
        cut = statistics.quantiles(values, n=100)
        print(f"{label:32} p50 {cut[49]:.2f} ms   p99 {cut[98]:.2f} ms")


def _identity(folder: Path, width: int) -> Path:
    kind = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, width]) for n in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "identity", [kind[0]], [kind[1]])
    opset = helper.make_opsetid("", 17)
    path = folder / "identity.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def _message(client: triton.InferenceServerClient, x: np.ndarray) -> Callable[[], object]:
    def call() -> object:
        tensor = triton.InferInput("x", list(x.shape), "FP32")
        tensor.set_data_from_numpy(x)
        return client.infer("identity", [tensor]).as_numpy("y")

    return call


def _shared(client: triton.InferenceServerClient, x: np.ndarray) -> Callable[[], object]:
    regions = {}
    for name in ("bench_in", "bench_out"):
        regions[name] = shared_memory.create_shared_memory_region(name, f"/{name}", x.nbytes)
        client.register_system_shared_memory(name, f"/{name}", x.nbytes)

    def call() -> object:
        shared_memory.set_shared_memory_region(regions["bench_in"], [x])
        tensor = triton.InferInput("x", list(x.shape), "FP32")
        tensor.set_shared_memory("bench_in", x.nbytes)
        output = triton.InferRequestedOutput("y")
        output.set_shared_memory("bench_out", x.nbytes)
        client.infer("identity", [tensor], outputs=[output])
        return shared_memory.get_contents_as_numpy(regions["bench_out"], np.float32, x.shape)

    return call


class _BareServer:
    """An empty handler in a process of its own: what grpcio itself takes."""

    def __init__(self, address: str) -> None:
        self._address = address
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve_bare, args=(address,), daemon=True)

    def __enter__(self) -> Callable[[np.ndarray], Callable[[], object]]:
        self._process.start()
        self._channel = grpc.insecure_channel(
            self._address,
            [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        grpc.channel_ready_future(self._channel).result(30)
        echo = self._channel.unary_unary("/bare/Echo")
        return lambda x: lambda: np.frombuffer(echo(x.tobytes()), np.float32)

    def __exit__(self, *exc: object) -> None:
        self._channel.close()
        self._process.terminate()


def _serve_bare(address: str) -> None:
    import asyncio

    async def echo(request: bytes, _context: object) -> bytes:
        return request

    async def serve_forever() -> None:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", handlers),))
        server.add_insecure_port(address)
        await server.start()
        await server.wait_for_termination()

    asyncio.run(serve_forever())


if __name__ == "__main__":
    main()
