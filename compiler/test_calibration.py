from pathlib import Path

import numpy as np
import pytest

from coexec.compiler.calibration import GraphRunner, read_calibration
from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Graph
from coexec.compiler.passes.test_support import Build


def _net() -> Graph:
    b = Build()
    graph = b.graph(b.op("Relu", b.input(1, 3, 4)))
    graph.inputs[0].name = "x"
    return graph


@pytest.mark.parametrize(
    ("shape", "count"), [((1, 3, 4), 1), ((5, 1, 3, 4), 5), ((5, 3, 4), 5), ((1, 1, 3, 4), 1)]
)
def test_examples_are_stacked_along_a_dim_of_their_own_or_the_batch(
    tmp_path: Path, shape: tuple[int, ...], count: int
) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.savez(tmp_path / "c.npz", x=values)
    examples = read_calibration(tmp_path / "c.npz", _net())
    assert len(examples) == count
    assert all(example[0].shape == (1, 3, 4) for example in examples)
    assert np.array_equal(np.concatenate([e[0].ravel() for e in examples]), values.ravel())


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        ({"y": np.zeros((1, 3, 4), np.float32)}, r"no array named 'x'; it has 'y'; write it with"),
        ({"x": np.zeros((2, 3, 5), np.float32)}, r"float32\[N, 1, 3, 4\] or \[N, 3, 4\]"),
        ({"x": np.zeros((1, 3, 4))}, r"'x' is float64\[1, 3, 4\]; one example is f32"),
        ({"x": np.zeros((0, 3, 4), np.float32)}, "'x' holds no example"),
        ({"x": np.full((1, 3, 4), np.nan, np.float32)}, "'x' holds infinities or NaNs"),
    ],
)
def test_what_does_not_fit_is_told_what_does(
    tmp_path: Path, arrays: dict[str, Array], error: str
) -> None:
    np.savez(tmp_path / "c.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(CompileError, match=error):
        read_calibration(tmp_path / "c.npz", _net())


def test_other_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros((1, 3, 4), np.float32))
    with pytest.raises(CompileError, match=r"one array without a name; write an \.npz file"):
        read_calibration(tmp_path / "c.npy", _net())
    np.savez_compressed(tmp_path / "whole.npz", x=np.zeros((1, 3, 4), np.float32))
    damaged = bytearray((tmp_path / "whole.npz").read_bytes())
    damaged[damaged.index(b".npy") + 4 + damaged[28]] = 0xFF  # no kind of deflated block
    for content in (b"", b"1 2 3", b"PK\3\4 and no more", damaged):
        (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(CompileError, match=r"not a readable \.npz file") as caught:
            read_calibration(tmp_path / "c.npz", _net())
        assert "pickle" not in str(caught.value)
    with pytest.raises(CompileError, match=r"absent\.npz: no such file; give an .npz file"):
        read_calibration(tmp_path / "absent.npz", _net())
    with pytest.raises(CompileError, match="Is a directory"):
        read_calibration(tmp_path, _net())


def test_examples_of_a_scalar_are_arrays(tmp_path: Path) -> None:
    b = Build()
    graph = b.graph(b.op("Relu", b.input()))
    graph.inputs[0].name = "x"
    np.savez(tmp_path / "c.npz", x=np.ones(3, np.float32))
    for (example,) in read_calibration(tmp_path / "c.npz", graph):
        assert isinstance(example, np.ndarray)
        assert example.shape == ()


def test_a_runner_tells_equal_parts_with_other_names_apart() -> None:
    run, x = GraphRunner(), np.full((1, 3, 4), -1.0, np.float32)
    for name in ("x", "y"):
        graph = _net()
        graph.inputs[0].name, graph.outputs[0].name = name, f"{name} out"
        (got,) = run(graph, [x])
        np.testing.assert_array_equal(got, np.zeros_like(x))
