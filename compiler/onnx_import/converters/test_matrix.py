import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.onnx_import.conftest import Check, OneNode

_RNG = np.random.default_rng(8)


def _random(*shape: int) -> np.ndarray:
    return _RNG.standard_normal(shape).astype(np.float32)


@st.composite
def gemms(draw: st.DrawFn) -> tuple[OneNode, bool]:
    m, n, k = (draw(st.integers(1, 5)) for _ in range(3))
    trans_a, trans_b = draw(st.booleans()), draw(st.booleans())
    a, b = _random(*((k, m) if trans_a else (m, k))), _random(*((n, k) if trans_b else (k, n)))
    c_shape = draw(st.sampled_from([None, (), (1,), (n,), (1, n), (m, 1), (m, n)]))
    operands = [a, b] + ([] if c_shape is None else [_random(*c_shape)])
    attrs = {
        "transA": int(trans_a),
        "transB": int(trans_b),
        "alpha": draw(st.sampled_from([1.0, 0.5, 0.0])),
        "beta": draw(st.sampled_from([1.0, 2.0, 0.0])),
    }
    constants = draw(st.sampled_from([(1, 2), (1,), ()]))
    return OneNode("Gemm", operands, attrs, constants=constants), 1 in constants


@settings(deadline=None, max_examples=60)
@given(drawn=gemms())
def test_gemm(same: Check, drawn: tuple[OneNode, bool]) -> None:
    case, constant = drawn
    graph = same(case)
    assert ("Gemm" in [layer.op for layer in graph.layers]) == constant


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((2, 2, 3, 4), (4, 1))]
)
def test_a_product_with_a_constant_matrix_becomes_a_gemm(
    same: Check, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    graph = same(OneNode("MatMul", [_random(*a), _random(*b)], constants=(1,)))
    assert [layer.op for layer in graph.layers] == ["Gemm"]
    weights = graph.layers[0].inputs[1]
    assert weights is not None
    assert weights.type.shape == b[::-1]


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((4,), (4,))]
)
def test_other_products_stay_matmul(same: Check, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    graph = same(OneNode("MatMul", [_random(*a), _random(*b)]))
    assert [layer.op for layer in graph.layers] == ["MatMul"]
