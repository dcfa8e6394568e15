"""Round trip of an identity model: what a call costs besides the computing.

    python -m bench.roundtrip [--calls N] [--kib N] [--triton ENVIRONMENT] [--json FILE]

Measures, by turns and in one run: Triton's Python client with the tensor in the message and by
system shared memory, our own client (which chooses), and, as the floor, an empty handler on a
bare grpcio server with the same message and with a small one. --triton adds the same calls to
a running Triton server (bench/tritonserver.py says how to install it).
"""

import argparse
import contextlib
import json
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import onnx
import tritonclient.grpc as triton
from onnx import TensorProto, helper
from tritonclient.utils import shared_memory

from bench.compare import alternate
from bench.serving import repository, serve
from bench.tritonserver import serve_identity
from coexec.clients import Client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--kib", type=int, default=586, help="input size; 586 is 600 KB")
    parser.add_argument("--triton", type=Path, help="a virtual environment with nvidia-pytriton")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    x = np.random.default_rng(0).standard_normal((1, arguments.kib * 256)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = repository(folder / "models", {"identity": _identity(folder, x.shape[1])})
        with contextlib.ExitStack() as stack:
            daemon = stack.enter_context(
                serve(folder / "daemon", "--model-repository", str(models))
            )
            client = stack.enter_context(daemon.client())
            own = stack.enter_context(Client(daemon.address))
            bare = stack.enter_context(_BareServer(f"unix:{folder / 'bare.sock'}"))
            print(f"our client chose: {own.infer('identity', {'x': x}).transport}")
            regions = stack.enter_context(_regions(x.nbytes))
            calls = {
                "empty grpcio handler, message": bare(x),
                "empty grpcio handler, 16 bytes": bare(x[:, :4]),
                "triton client, message": _message(client, x),
                "triton client, shared memory": _shared(client, x, regions),
                "our client": lambda: own.infer("identity", {"x": x}),
            }
            if arguments.triton is not None:
                (folder / "triton").mkdir()
                peer = stack.enter_context(
                    serve_identity(arguments.triton, folder / "triton", x.shape[1])
                )
                calls["tritonserver, message"] = _message(peer, x)
                calls["tritonserver, shared memory"] = _shared(peer, x, regions)
            times = alternate(calls, arguments.calls, warmup=20)
    rows = []
    for label, values in times.items():
        cut = statistics.quantiles(values, n=100)
        rows.append({"call": label, "p50_ms": cut[49], "p99_ms": cut[98]})
        print(f"{label:32} p50 {cut[49]:.2f} ms   p99 {cut[98]:.2f} ms")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


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


@contextlib.contextmanager
def _regions(size: int) -> Iterator[dict[str, object]]:
    """Two system shared memory regions of `size` bytes each, by name."""
    regions = {
        name: shared_memory.create_shared_memory_region(name, f"/{name}", size)
        for name in ("bench_in", "bench_out")
    }
    try:
        yield regions
    finally:
        for region in regions.values():
            shared_memory.destroy_shared_memory_region(region)


def _shared(
    client: triton.InferenceServerClient, x: np.ndarray, regions: dict[str, object]
) -> Callable[[], object]:
    for name in regions:
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
