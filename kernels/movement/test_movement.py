"""Movement ops against NumPy (the same bytes) and, where it adds something, ONNX Runtime."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.kernels import _kernels
from coexec.kernels.test_harness import (
    Array,
    assert_close,
    make_step,
    run_native,
    run_onnxruntime,
)

EXAMPLES = settings(deadline=None, max_examples=40)
DTYPES = st.sampled_from(["float32", "uint8", "float16", "int64", "bool"])
SHAPES = hnp.array_shapes(min_dims=1, max_dims=5, min_side=1, max_side=7)


def numbered(shape: tuple[int, ...], dtype: str = "float32") -> Array:
    """Neighbouring elements differ, so that a misplaced one is seen."""
    x = np.random.default_rng(1).integers(0, 250, shape)
    return np.asarray(x % 2 if dtype == "bool" else x, dtype)


def check(
    op: str, attrs: dict[str, _kernels.AttrValue], inputs: list[Array], *expected: Array
) -> None:
    for got, y in zip(run_native(op, attrs, inputs, expected), expected, strict=True):
        assert_close(got, np.asarray(y), rtol=0, atol=0)


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
@EXAMPLES
def test_transpose(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    perm = list(data.draw(st.permutations(range(len(shape)))))
    x = numbered(shape, dtype)
    check("Transpose", {"perm": perm}, [x], np.transpose(x, perm))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "float16", "int64"])
@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [3, 2, 1, 0], [1, 0, 3, 2]])
def test_transpose_of_many_tiles(dtype: str, perm: list[int]) -> None:
    x = numbered((2, 37, 19, 45), dtype)
    check("Transpose", {"perm": perm}, [x], np.transpose(x, perm))


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
@EXAMPLES
def test_slice(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    x = numbered(shape, dtype)
    starts, ends, steps, slices = [], [], [], []
    for size in shape:
        step = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        start = data.draw(st.integers(0, size - 1))
        end = data.draw(st.integers(start, size) if step > 0 else st.integers(-1, start))
        starts.append(start)
        ends.append(end)
        steps.append(step)
        slices.append(slice(start, None if end < 0 else end, step))
    attrs: dict[str, _kernels.AttrValue] = {"starts": starts, "ends": ends, "steps": steps}
    check("Slice", attrs, [x], x[tuple(slices)])


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
@EXAMPLES
def test_concat_and_split(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=5))
    whole = numbered((*shape[:axis], sum(sizes), *shape[axis + 1 :]), dtype)
    parts = np.split(whole, np.cumsum(sizes)[:-1], axis)
    check("Concat", {"axis": axis}, parts, whole)
    check("Split", {"axis": axis, "split": sizes}, [whole], *parts)


def test_large_concat_uses_every_thread() -> None:
    parts = [numbered((2, c, 56, 57)) for c in (3, 16, 1)]
    check("Concat", {"axis": 1}, parts, np.concatenate(parts, 1))


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
@EXAMPLES
def test_pad(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["constant", "reflect", "edge"]))
    most = [size - 1 if mode == "reflect" else 4 for size in shape]
    pads = [data.draw(st.integers(0, m)) for m in most * 2]
    pairs = list(zip(pads[: len(shape)], pads[len(shape) :], strict=True))
    x = numbered(shape, dtype)
    if mode == "constant":
        value = 0 if dtype == "float16" else 1
        expected = np.pad(x, pairs, constant_values=value)
    else:
        value = 0
        expected = np.pad(x, pairs, mode="reflect" if mode == "reflect" else "edge")
    check("Pad", {"pads": pads, "mode": mode, "value": float(value)}, [x], expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_negative_pads_crop(mode: str) -> None:
    x = numbered((5, 6, 7))
    pads = [-1, 0, 2, 0, -2, -3]
    (expected,) = run_onnxruntime(
        "Pad", {"mode": mode}, [x, np.asarray(pads)], opset=13, constants=[1]
    )
    check("Pad", {"pads": pads, "mode": mode, "value": 0.0}, [x], expected)


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
@EXAMPLES
def test_gather(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    index_shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=5))
    index_dtype = data.draw(st.sampled_from(["int32", "int64"]))
    indices = np.random.default_rng(2).integers(-shape[axis], shape[axis], index_shape)
    x = numbered(shape, dtype)
    indices = np.asarray(indices, index_dtype)
    check("Gather", {"axis": axis}, [x, indices], np.take(x, indices, axis))


def test_gather_never_reads_outside() -> None:
    x = numbered((4, 3))
    indices = np.asarray([-(2**62), -5, 4, 2**62, 1])
    check("Gather", {"axis": 0}, [x, indices], x[[0, 0, 3, 3, 1]])


@given(data=st.data(), dtype=DTYPES)
@EXAMPLES
def test_expand(data: st.DataObject, dtype: str) -> None:
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=(3, 1, 4, 5)))
    x = numbered(shapes.input_shapes[0], dtype)
    y = np.broadcast_to(x, shapes.result_shape)
    check("Expand", {"shape": list(y.shape)}, [x], y)


@given(shape=SHAPES, dtype=DTYPES, data=st.data())
@EXAMPLES
def test_tile(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    repeats = [data.draw(st.integers(0, 3)) for _ in shape]
    x = numbered(shape, dtype)
    check("Tile", {"repeats": repeats}, [x], np.tile(x, repeats))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_depth_to_space_and_back(mode: str, block: int) -> None:
    x = numbered((2, 5 * block**2, 6, 7))
    (expected,) = run_onnxruntime("DepthToSpace", {"blocksize": block, "mode": mode}, [x])
    check("DepthToSpace", {"blocksize": block, "mode": mode}, [x], expected)
    (back,) = run_onnxruntime("SpaceToDepth", {"blocksize": block}, [expected])
    check("SpaceToDepth", {"blocksize": block}, [expected], back)


def test_reshape_may_share_memory() -> None:
    x = numbered((300, 7, 11))
    check("Reshape", {"shape": [7, 3300]}, [x], x.reshape(7, 3300))
    assert make_step("Reshape", {"shape": [x.size]}, [x], [x.reshape(-1)]).in_place(0)


@pytest.mark.parametrize(
    ("op", "attrs", "shape", "result", "message"),
    [
        ("Transpose", {"perm": [0, 0]}, (2, 3), (2, 2), "no permutation"),
        ("Reshape", {"shape": [5]}, (2, 3), (5,), "cannot reshape"),
        ("Slice", {"starts": [0], "ends": [4], "steps": [1]}, (3,), (4,), "leaves dimension 0"),
        ("Expand", {"shape": [2, 4]}, (2, 3), (2, 4), "does not broadcast"),
        ("Pad", {"pads": [1, 1], "mode": "wrap", "value": 0.0}, (3,), (5,), 'mode "wrap"'),
        ("Split", {"axis": 2, "split": [3]}, (2, 3), (2, 3), "outside a tensor of rank 2"),
        ("Tile", {"repeats": [2]}, (3,), (5,), r"expected the shape \[6\]"),
    ],
)
def test_refusals_say_what_was_given(
    op: str,
    attrs: dict[str, _kernels.AttrValue],
    shape: tuple[int, ...],
    result: tuple[int, ...],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        make_step(op, attrs, [np.zeros(shape)], [np.zeros(result)])


def test_pad_keeps_values_that_f32_cannot_hold() -> None:
    x = np.zeros(1, np.int64)
    check("Pad", {"pads": [1, 0], "mode": "constant", "value": 16777217.0}, [x],
          np.array([16777217, 0]))  # fmt: skip
    with pytest.raises(_kernels.UnsupportedLayerError, match="which its dtype cannot hold"):
        make_step("Pad", {"pads": [1, 0], "mode": "constant", "value": 300.0},
                  [np.zeros(1, np.uint8)], [np.zeros(2, np.uint8)])  # fmt: skip


def test_empty_results() -> None:
    x = numbered((3, 4))
    check("Slice", {"starts": [0, 2], "ends": [3, 2], "steps": [1, 1]}, [x], x[:, 2:2])
    check("Transpose", {"perm": [1, 0]}, [x[:0]], x[:0].T)
