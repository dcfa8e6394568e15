from dataclasses import replace

import numpy as np
import pytest

from coexec.compiler.execute import runner_of
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
