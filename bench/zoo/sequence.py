"""Recurrent networks of the zoo."""

from typing import Any

import numpy as np
import onnx

from bench.zoo.builder import Builder


def gru_2x1024(seed: int = 0, steps: int = 20, features: int = 152) -> onnx.ModelProto:
    """Two GRU layers of 1024 units, as GRIM (arXiv 2108.11033) measures on TIMIT."""
    return _recurrent("gru_2x1024", "GRU", 3, seed, steps, features, linear_before_reset=1)


def lstm_2x1024(seed: int = 0, steps: int = 20, features: int = 152) -> onnx.ModelProto:
    """Two LSTM layers of 1024 units."""
    return _recurrent("lstm_2x1024", "LSTM", 4, seed, steps, features)


def _recurrent(
    name: str, op: str, gates: int, seed: int, steps: int, features: int, **attrs: Any
) -> onnx.ModelProto:
    b = Builder(name, [steps, 1, features], seed)
    x, width, hidden = "input", features, 1024
    for _ in range(2):
        w = b.weight([1, gates * hidden, width], width**-0.5)
        r = b.weight([1, gates * hidden, hidden], hidden**-0.5)
        bias = b.weight([1, 2 * gates * hidden], 0.1)
        y = b.node(op, [x, w, r, bias], gates - 1, hidden_size=hidden, **attrs)
        x = b.node("Squeeze", [y, b.constant("axes", np.array([1], np.int64))])
        width = hidden
    return b.finish(x)
