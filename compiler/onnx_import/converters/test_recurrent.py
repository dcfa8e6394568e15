import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir.interpret import interpret
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.onnx_import.conftest import Check, OneNode, graph_of

_RNG = np.random.default_rng(9)
_GATES = {"LSTM": 4, "GRU": 3}


def _random(*shape: int) -> np.ndarray:
    return _RNG.uniform(-1, 1, shape).astype(np.float32)


def _case(op: str, direction: str, layout: int, operands: int, **attrs: object) -> OneNode:
    steps, batch, inputs, hidden, gates = 3, 2, 4, 5, _GATES[op]
    count = 2 if direction == "bidirectional" else 1
    x = _random(batch, steps, inputs) if layout else _random(steps, batch, inputs)
    state = (batch, count, hidden) if layout else (count, batch, hidden)
    lengths = np.full(batch, steps, np.int32)
    every = [
        x,
        _random(count, gates * hidden, inputs),
        _random(count, gates * hidden, hidden),
        _random(count, 2 * gates * hidden),
        lengths,
        _random(*state),
        _random(*state),
    ]
    outputs = ["y", "y_h", "y_c"] if op == "LSTM" else ["y", "y_h"]
    attrs = {"hidden_size": hidden, "direction": direction, "layout": layout, **attrs}
    attrs = {name: value for name, value in attrs.items() if name != "layout" or value}
    most = 7 if op == "LSTM" else 6
    return OneNode(
        op, every[: min(operands, most)], attrs, opset=14, constants=(1, 2, 3, 4), outputs=outputs
    )


@settings(deadline=None, max_examples=30)
@given(
    op=st.sampled_from(["LSTM", "GRU"]),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    operands=st.integers(3, 7),
    linear=st.integers(0, 1),
)
def test_lstm_and_gru(same: Check, op: str, direction: str, operands: int, linear: int) -> None:
    more = {"linear_before_reset": linear} if op == "GRU" else {}
    graph = same(_case(op, direction, 0, operands, **more))
    assert [layer.op for layer in graph.layers] == [op]


@pytest.mark.parametrize(
    ("op", "attrs", "reason"),
    [
        ("LSTM", {"clip": 3.0}, "clips its gates"),
        ("LSTM", {"activations": ["Relu", "Tanh", "Tanh"]}, "gate functions are relu"),
        ("LSTM", {"input_forget": 1}, "coupled"),
        ("GRU", {"activations": ["HardSigmoid", "Tanh"]}, "gate functions are hardsigmoid"),
    ],
)
def test_what_the_kernels_lack_stays_foreign(
    same: Check, op: str, attrs: dict[str, object], reason: str
) -> None:
    same(_case(op, "forward", 0, 4, **attrs), foreign=reason)


def test_default_activations_may_be_spelt_out(same: Check) -> None:
    same(_case("LSTM", "forward", 0, 4, activations=["Sigmoid", "Tanh", "Tanh"]))


def test_sequences_of_different_length_stay_foreign(same: Check) -> None:
    case = _case("GRU", "forward", 0, 5)
    operands = list(case.operands)
    operands[4] = np.array([3, 1], np.int32)
    case.operands = operands
    same(case, foreign="differ in length")


def test_peepholes_stay_foreign(same: Check) -> None:
    case = _case("LSTM", "forward", 0, 7)
    case.operands = [*case.operands, _random(1, 15)]
    case.constants = (1, 2, 3, 4, 7)
    same(case, foreign="peephole")
    case.operands = [*case.operands[:7], np.zeros((1, 15), np.float32)]
    same(case)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_batch_first_is_steps_first_transposed(op: str, direction: str) -> None:
    """ONNX Runtime runs steps first only, so that is what the other order is held to."""
    plain, turned = (_case(op, direction, layout, 7) for layout in (0, 1))
    turned.operands = [
        np.ascontiguousarray(a.swapaxes(0, 1)) if a is not None and i in (0, 5, 6) else a
        for i, a in enumerate(plain.operands)
    ]
    results = []
    for case in (plain, turned):
        graph = graph_of(case.model())
        assert graph is not None
        assert not [layer for layer in graph.layers if layer.op == ONNX_RUNTIME]
        feed = case.feed()
        results.append(interpret(graph, [feed[value.name] for value in graph.inputs]))
    for i, (a, b) in enumerate(zip(*results, strict=True)):
        want = a.transpose(2, 0, 1, 3) if i == 0 else a.swapaxes(0, 1)
        np.testing.assert_array_equal(b, want)
