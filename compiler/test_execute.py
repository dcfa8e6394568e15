from dataclasses import replace

import numpy as np
import pytest

from coexec.compiler.execute import runner_of
from coexec.compiler.ir.interpret import interpret
from coexec.compiler.passes import drop_dead
from coexec.compiler.passes.test_support import Build


@pytest.mark.parametrize("layout", ["bcr", "csr"])
@pytest.mark.parametrize("side", [24, 10])  # threads share pixels, and rows where those are few
def test_threads_share_the_products_of_kept_weights(layout: str, side: int) -> None:
    b = Build()
    array = b.rng.normal(0, 1, (128, 64, 3, 3)).astype(np.float32)
    array[b.rng.random(array.shape) < 0.7] = 0
    weight = b.constant(array)
    weight.type = replace(weight.type, layout=layout)
    runner = runner_of(b.graph(b.conv(b.input(1, 64, side, side), weight, b.weight(128), pad=1)))
    (alone,) = runner.products(1)[0]
    assert alone >= np.count_nonzero(array) * side * side
    for threads in (2, 4):
        shares = runner.products(threads)[0]
        assert len(shares) == threads
        assert sum(shares) == alone
        assert max(shares) * threads <= 1.1 * alone


@pytest.mark.parametrize("read", [0, 1])
def test_a_result_that_nobody_reads_is_not_made(read: int) -> None:
    b = Build()
    x = b.input(3, 9)
    graph = b.graph(b.ops("TopK", x, axis=1, k=4, largest=1, sorted=1)[read])
    array = b.rng.normal(0, 1, (3, 9)).astype(np.float32)
    (want,) = interpret(graph, [array])
    report = drop_dead.run(graph)
    assert len(report.done) == 1
    assert sum(value is None for value in graph.layers[0].outputs) == 1
    (got,) = runner_of(graph).run({x.name: array}).values()
    np.testing.assert_array_equal(got, want)
