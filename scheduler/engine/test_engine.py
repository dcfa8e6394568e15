"""The engine process from end to end, on small models."""

from pathlib import Path

import numpy as np
from coexec.scheduler.engine.test_support import (
    ModelBuilder,
    floats,
    running,
)


def _input(seed: int = 0, size: int = 64, rows: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, size)).astype(np.float32)


async def test_a_request_is_computed(tmp_path: Path) -> None:
    builder = ModelBuilder("toy")
    x = builder.input([2, 3])
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = builder.save(tmp_path, [builder.gemm(x, weight)])
    async with running() as daemon:
        await daemon.engine.load(1, path, model="toy", version="1")
        data = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
        reply = await daemon.infer(1, data)
        np.testing.assert_array_equal(floats(reply), data @ weight.T)
        assert reply.queue_us >= 0
        assert (await daemon.engine.snapshot()).programs[0].requests == 1
