import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.ir.interpret import interpret
from coexec.compiler.onnx_import.conftest import Array, Check, OneNode, graph_of

_RNG = np.random.default_rng(7)
_POSITIVE = ("Sqrt", "Log", "Reciprocal")
_UNARY = (
    "Relu", "Sigmoid", "Tanh", "Sqrt", "Exp", "Log", "Abs", "Neg", "Floor", "Ceil", "Round",
    "Reciprocal", "Sign", "Sin", "Cos", "Erf", "Softplus", "Softsign",
)  # fmt: skip


@pytest.mark.parametrize("op", _UNARY)
def test_functions(same: Check, op: str) -> None:
    x = _RNG.uniform(0.1 if op in _POSITIVE else -3, 3, (2, 5)).astype(np.float32)
    same(OneNode(op, [x]))


@pytest.mark.parametrize(
    ("op", "attrs"),
    [
        ("LeakyRelu", {}), ("LeakyRelu", {"alpha": 0.3}), ("Elu", {}), ("Elu", {"alpha": 0.5}),
        ("Celu", {"alpha": 2.0}), ("ThresholdedRelu", {}), ("Selu", {}), ("HardSigmoid", {}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}), ("HardSwish", {}), ("Mish", {}),
    ],
)  # fmt: skip
def test_functions_with_parameters(same: Check, op: str, attrs: dict[str, float]) -> None:
    x = _RNG.uniform(-3, 3, (3, 4)).astype(np.float32)
    same(OneNode(op, [x], attrs, opset=18))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(same: Check, approximate: str) -> None:
    x = _RNG.uniform(-3, 3, (3, 4)).astype(np.float32)
    graph = same(OneNode("Gelu", [x], {"approximate": approximate}, opset=20))
    assert [layer.op for layer in graph.layers] == ["Gelu"]


@pytest.mark.parametrize("opset", [6, 11, 13])
@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (None, 0.5), (0.0, None), (None, None)])
def test_clip(same: Check, opset: int, bounds: tuple[float | None, float | None]) -> None:
    x = _RNG.uniform(-3, 3, (3, 4)).astype(np.float32)
    if opset == 6:
        pairs = zip(("min", "max"), bounds, strict=True)
        same(OneNode("Clip", [x], {n: b for n, b in pairs if b is not None}, opset=opset))
        return
    operands = [None if b is None else np.array(b, np.float32) for b in bounds]
    same(OneNode("Clip", [x, *operands], opset=opset, constants=(1, 2)))
    graph = same(OneNode("Clip", [x, *operands], opset=opset))
    assert "Clip" in [layer.op for layer in graph.layers] or bounds != (None, None)


def test_clip_of_integers(same: Check) -> None:
    x = _RNG.integers(-9, 9, (3, 4)).astype(np.int64)
    low = np.array(-2, np.int64)
    same(OneNode("Clip", [x, low], opset=13, constants=(1,)))


def test_clip_of_doubles_keeps_what_is_beyond_f32(same: Check) -> None:
    x = np.array([-1e300, 2.0, 1e300])
    same(OneNode("Clip", [x, np.array(0.0)], opset=13, constants=(1,)))
    same(OneNode("Clip", [x, np.array(-1e200), np.array(1e200)], opset=13, constants=(1, 2)))


@st.composite
def arithmetic(draw: st.DrawFn) -> OneNode:
    op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min"]))
    dtype = draw(st.sampled_from([np.float32, np.int32, np.int64]))
    shapes = draw(
        st.sampled_from(
            [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((1,), (4, 1))]
        )
    )
    operands = [_RNG.integers(1, 20, shape).astype(dtype) for shape in shapes]
    return OneNode(op, operands, constants=(1,) if draw(st.booleans()) else ())


@settings(deadline=None, max_examples=40)
@given(case=arithmetic())
def test_arithmetic(same: Check, case: OneNode) -> None:
    same(case)


@pytest.mark.parametrize("op", ["Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_operands(same: Check, op: str, count: int) -> None:
    operands = [_RNG.standard_normal((2, 3)).astype(np.float32) for _ in range(count)]
    case = OneNode(op, operands)
    graph = same(case)
    assert len(graph.layers) == max(count - 1, 1) + (op == "Mean" and count > 1)


@pytest.mark.parametrize("op", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_comparisons(same: Check, op: str, dtype: type) -> None:
    a: Array = _RNG.integers(0, 3, (3, 4)).astype(dtype)
    b: Array = _RNG.integers(0, 3, (3, 4)).astype(dtype)
    same(OneNode(op, [a, b]))


@pytest.mark.parametrize("op", ["And", "Or", "Xor", "Not"])
def test_logic(same: Check, op: str) -> None:
    a, b = (_RNG.integers(0, 2, (3, 4)).astype(bool) for _ in range(2))
    same(OneNode(op, [a] if op == "Not" else [a, b]))


@pytest.mark.parametrize("fmod", [0, 1])
def test_mod(same: Check, fmod: int) -> None:
    a, b = _RNG.integers(-9, 9, (3, 4)), np.array([3, -2, 4, 5])
    dtype = np.float32 if fmod else np.int64
    same(OneNode("Mod", [a.astype(dtype), b.astype(dtype)], {"fmod": fmod}))


@pytest.mark.parametrize("exponent", [np.float32, np.int64, np.int32])
def test_power_with_an_exponent_of_another_dtype(same: Check, exponent: type) -> None:
    x = _RNG.uniform(0.1, 3, (3, 4)).astype(np.float32)
    same(OneNode("Pow", [x, np.array(2, exponent)], constants=(1,)))


def test_prelu(same: Check) -> None:
    x = _RNG.standard_normal((1, 3, 4, 5)).astype(np.float32)
    same(OneNode("PRelu", [x, _RNG.random((3, 1, 1)).astype(np.float32)], constants=(1,)))


def test_where(same: Check) -> None:
    condition = _RNG.integers(0, 2, (3, 1)).astype(bool)
    same(OneNode("Where", [condition, np.arange(4), np.zeros((3, 4), np.int64)]))


@pytest.mark.parametrize("source", [np.float32, np.int64, np.bool_])
@pytest.mark.parametrize("to", [1, 6, 7, 9, 11])
def test_cast(same: Check, source: type, to: int) -> None:
    x: Array = _RNG.integers(-2, 3, (3, 4)).astype(source)
    case = OneNode("Cast", [x], {"to": to}, outputs=["y0"])
    same(case)


def test_old_broadcasting_aligns_at_its_axis() -> None:
    # ONNX Runtime itself no longer runs such models.
    a, b = _RNG.random((2, 3, 4, 5)).astype(np.float32), _RNG.random((3, 4)).astype(np.float32)
    case = OneNode("Add", [a, b], {"broadcast": 1, "axis": 1}, opset=6)
    graph = graph_of(case.model())
    assert graph is not None
    np.testing.assert_array_equal(interpret(graph, [a, b])[0], a + b[:, :, None])
