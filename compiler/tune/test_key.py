from dataclasses import replace

import numpy as np
import pytest

from coexec.compiler.ir import Layer
from coexec.compiler.passes.test_support import Build
from coexec.compiler.tune.key import graph_key, layer_key


def _conv(
    zero: int | None = 3, seed: int = 0, size: int = 9, pad: int = 1, name: str = ""
) -> Layer:
    b = Build(seed)
    w = b.weight(8, 4, 3, 3)
    assert w.constant is not None
    if zero is not None:
        w.constant.reshape(-1)[zero] = 0
    b.conv(b.input(1, 4, size, size), w, b.weight(8), pad=pad)
    b.layers[0].name = name or b.layers[0].name
    return b.layers[0]


def test_values_and_names_do_not_count() -> None:
    assert layer_key(_conv(seed=1, name="a")) == layer_key(_conv(seed=2, name="b"))


@pytest.mark.parametrize("change", [{"zero": 4}, {"zero": None}, {"size": 10}, {"pad": 0}])
def test_what_makes_the_speed_counts(change: dict[str, int]) -> None:
    assert layer_key(_conv(**change)) != layer_key(_conv())  # type: ignore[arg-type]


def test_the_present_layout_does_not_count() -> None:
    layer = _conv()
    before = layer_key(layer)
    weight = layer.inputs[1]
    assert weight is not None
    weight.type = replace(weight.type, layout="csr")
    assert layer_key(layer) == before


def test_zeros_of_a_bias_do_not_count() -> None:
    layer = _conv()
    before = layer_key(layer)
    bias = layer.inputs[2]
    assert bias is not None
    bias.constant = np.zeros(8, np.float32)
    assert layer_key(layer) == before


def test_a_graphs_wiring_counts() -> None:
    a, b = ("key", [0], [1]), ("key", [1], [2])
    assert graph_key([a, b], [2]) == graph_key([a, b], [2])
    assert graph_key([a, b], [2]) != graph_key([a, ("key", [0], [2])], [2])
    assert graph_key([a, b], [2]) != graph_key([a, b], [1, 2])
