"""Models that are one ONNX Runtime layer."""

from pathlib import Path

import numpy as np
import onnx.parser
import pytest

from coexec.kernels.program import format, whole_model
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.runner import Runner
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.protos import program_pb2


def _runner(tmp_path: Path, text: str, inputs: dict[str, str], outputs: dict[str, str]) -> Runner:
    """inputs, outputs: dtypes by name; all of one dim of any extent."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    program = program_pb2.Program(name="whole")
    for name, dtype in {**inputs, **outputs}.items():
        type = program_pb2.TensorType(dtype=dtype, shape=[-1], layout="dense")
        program.tensors.add(name=name, type=type)
    program.inputs.extend(range(len(inputs)))
    program.outputs.extend(range(len(inputs), len(program.tensors)))
    program.layers.add(
        name="all",
        op=ONNX_RUNTIME,
        onnx_model=model.SerializeToString(),
        inputs=program.inputs,
        outputs=program.outputs,
    )
    format.save(program, [], tmp_path / "whole.coexec")
    return Runner(format.load(tmp_path / "whole.coexec"))


@pytest.fixture
def add(tmp_path: Path) -> Runner:
    text = "m (float[N] a, float[N] b) => (float[N] y) { y = Add(a, b) }"
    return _runner(tmp_path, text, {"a": "f32", "b": "f32"}, {"y": "f32"})


@pytest.mark.parametrize("copied_bytes_max", [0, 16, 1 << 16])
def test_inputs_may_change_in_every_way(
    add: Runner, monkeypatch: pytest.MonkeyPatch, copied_bytes_max: int
) -> None:
    monkeypatch.setattr(whole_model, "_COPIED_BYTES_MAX", copied_bytes_max)
    whole = np.arange(12, dtype=np.float32)
    frozen = whole.copy()
    frozen.flags.writeable = False
    results = []
    for a in (whole, frozen, whole[:4], whole[:3], whole[::2], whole[::-1], list(whole)):
        results.append((add.run({"a": a, "b": a})["y"], np.array(a) * 2))
        results.append((add.run({"b": a, "a": np.ones_like(a)})["y"], np.array(a) + 1))
        assert list(add.layer_us) == [0]
    for got, want in results:  # what was returned stays as it was
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(whole, np.arange(12))


def test_inputs_that_do_not_fit_are_named(add: Runner) -> None:
    x = np.ones(3, np.float32)
    for _ in range(2):
        assert add.run({"a": x, "b": x})["y"].tolist() == [2, 2, 2]
        with pytest.raises(RunError, match=r"input 'b': float64\[3\] given"):
            add.run({"a": x, "b": x.astype(float)})
        with pytest.raises(RunError, match=r"input 'b': float32\[3, 1\] given"):
            add.run({"a": x, "b": x[:, None]})
        with pytest.raises(RunError, match=r"inputs \['a', 'c'\] given, the model takes"):
            add.run({"a": x, "c": x})
        with pytest.raises(RunError, match="layer all: ONNX Runtime failed: "):
            add.run({"a": x, "b": x[:2]})


def test_shapes_of_outputs_may_follow_from_the_data(tmp_path: Path) -> None:
    text = """m (float[N] x) => (float[N] y, int64[K] at) {
        y = Neg(x) found = NonZero(x) flat = Constant<value = int64[1] {-1}>()
        at = Reshape(found, flat) }"""
    runner = _runner(tmp_path, text, {"x": "f32"}, {"y": "f32", "at": "i64"})
    for values in ([1, 2, 3], [0, 5, 6], [7, 0, 0], [1, 1, 1], [0, 1]):
        got = runner.run({"x": np.array(values, np.float32)})
        assert got["at"].tolist() == np.flatnonzero(values).tolist()
        np.testing.assert_array_equal(got["y"], -np.array(values))
