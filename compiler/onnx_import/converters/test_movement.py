import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.compiler.onnx_import.conftest import Array, Check, OneNode

_RNG = np.random.default_rng(11)
_X = _RNG.standard_normal((2, 3, 4, 5)).astype(np.float32)


@st.composite
def slices(draw: st.DrawFn) -> OneNode:
    axes = draw(st.sampled_from([None, [0], [-1], [1, 3], [3, 1]]))
    count = 4 if axes is None else len(axes)
    bound = st.sampled_from([-9, -3, -1, 0, 1, 2, 4, 2**40])
    bounds = st.lists(bound, min_size=count, max_size=count)
    starts, ends = draw(bounds), draw(bounds)
    if draw(st.booleans()):
        attrs = {"starts": starts, "ends": ends}
        if axes is not None:
            attrs["axes"] = [a % 4 for a in axes]
        return OneNode("Slice", [_X], attrs, opset=9)
    steps = draw(st.lists(st.sampled_from([-2, -1, 1, 3]), min_size=count, max_size=count))
    arrays = [np.array(v, np.int64) for v in (starts, ends, axes or range(4), steps)]
    return OneNode("Slice", [_X, *arrays], opset=13, constants=(1, 2, 3, 4))


@settings(deadline=None, max_examples=60)
@given(case=slices())
def test_slice(same: Check, case: OneNode) -> None:
    same(case)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(same: Check, axis: int) -> None:
    operands = [_X, _X[..., :0] if axis == -1 else _X, _X]
    same(OneNode("Concat", operands, {"axis": axis}))


@pytest.mark.parametrize(
    ("opset", "sizes"), [(11, [1, 3, 1]), (11, None), (13, [1, 3, 1]), (13, None), (18, None)]
)
def test_split(same: Check, opset: int, sizes: list[int] | None) -> None:
    x = _X if sizes or opset == 18 else _X[..., :3]
    attrs: dict[str, object] = {"axis": -1}
    operands = [x]
    if sizes and opset < 13:
        attrs["split"] = sizes
    elif sizes:
        operands.append(np.array(sizes, np.int64))
    elif opset == 18:
        attrs["num_outputs"] = 3
    same(OneNode("Split", operands, attrs, opset=opset, constants=(1,), outputs=3))


@settings(deadline=None, max_examples=40)
@given(
    opset=st.sampled_from([10, 13, 18]),
    mode=st.sampled_from(["constant", "reflect", "edge"]),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    value=st.sampled_from([0.0, 1.5]),
)
def test_pad(same: Check, opset: int, mode: str, pads: list[int], value: float) -> None:
    full = [0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]]
    if opset == 10:
        same(OneNode("Pad", [_X], {"mode": mode, "pads": full, "value": value}, opset=10))
        return
    given_pads = np.array(pads if opset == 18 else full, np.int64)
    operands: list[Array] = [_X, given_pads, np.array(value, np.float32)]
    if opset == 18:
        operands.append(np.array([2, 3], np.int64))
    same(OneNode("Pad", operands, {"mode": mode}, opset=opset, constants=(1, 2, 3)))


def test_pad_that_crops(same: Check) -> None:
    pads = np.array([0, 0, -1, 1, 0, 0, 0, -2], np.int64)
    same(OneNode("Pad", [_X, pads], constants=(1,)))


@pytest.mark.parametrize("perm", [None, [0, 2, 3, 1], [3, 2, 1, 0]])
def test_transpose(same: Check, perm: list[int] | None) -> None:
    same(OneNode("Transpose", [_X], {} if perm is None else {"perm": perm}))


@pytest.mark.parametrize("indices", [np.array(-1), np.array([0, 2]), np.array([[1], [-2]])])
@pytest.mark.parametrize("constant", [(), (1,)])
def test_gather(same: Check, indices: np.ndarray, constant: tuple[int, ...]) -> None:
    same(OneNode("Gather", [_X, indices.astype(np.int64)], {"axis": 2}, constants=constant))


def test_tile_and_expand(same: Check) -> None:
    same(OneNode("Tile", [_X, np.array([1, 2, 1, 3], np.int64)], constants=(1,)))
    small = _X[:, :1, :, :1]
    same(OneNode("Expand", [small, np.array([2, 3, 1, 5], np.int64)], constants=(1,)))
    same(OneNode("Expand", [small[0, 0], np.array([7, 4, 3], np.int64)], constants=(1,)))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(same: Check, mode: str) -> None:
    x = _RNG.standard_normal((1, 8, 2, 3)).astype(np.float32)
    same(OneNode("DepthToSpace", [x], {"blocksize": 2, "mode": mode}))
    same(OneNode("SpaceToDepth", [x[:, :, :, :2]], {"blocksize": 2}))


@pytest.mark.parametrize("shape", [[0, -1], [6, 20], [-1], [2, 3, 1, 4, 5], [0, 0, 20]])
def test_reshape(same: Check, shape: list[int]) -> None:
    same(OneNode("Reshape", [_X, np.array(shape, np.int64)], constants=(1,)))


@pytest.mark.parametrize("axis", [0, 1, 3, 4, -2])
def test_flatten(same: Check, axis: int) -> None:
    same(OneNode("Flatten", [_X], {"axis": axis}))


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze(same: Check, opset: int) -> None:
    x = _X[:, :1, :1]
    for op, given_axes in (("Squeeze", [1]), ("Squeeze", None), ("Unsqueeze", [0, -1])):
        operands: list[Array | None] = [x]
        attrs: dict[str, object] = {}
        if given_axes and opset == 13:
            operands = [x, np.array(given_axes, np.int64)]
        elif given_axes:
            attrs = {"axes": given_axes}
        same(OneNode(op, operands, attrs, opset=opset, constants=(1,)))


def test_identity_and_dropout_copy(same: Check) -> None:
    same(OneNode("Identity", [_X]))
    same(OneNode("Dropout", [_X], opset=12))
    same(OneNode("Dropout", [_X], opset=12, outputs=2))
