"""Random programs: whatever the memory plan shares or writes in place, results stay right."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.kernels.program import format
from coexec.kernels.program.errors import RunError
from coexec.kernels.program.runner import Runner
from coexec.kernels.program.validate import ONNX_RUNTIME
from coexec.kernels.program.weights import StoredConstant
from coexec.protos import program_pb2

_SHAPE = [2, 4, 4]  # a multiple of a cache line: what is joined may lie side by side
_CONSTANT = np.arange(32, dtype=np.float32) / 7


def _type(shape: list[int]) -> program_pb2.TensorType:
    return program_pb2.TensorType(dtype="f32", shape=shape, layout="dense")


def _but(shape: list[int], axis: int) -> list[int]:
    return [*shape[:axis], -1, *shape[axis + 1 :]]


@st.composite
def programs(draw: st.DrawFn) -> program_pb2.Program:
    """Chains and diamonds of Add, Neg, Reshape and Concat over one input and one constant."""
    program = program_pb2.Program(name="random")
    program.tensors.add(name="t0", type=_type(_SHAPE))
    program.tensors.add(name="t1", type=_type(_SHAPE), constant=True, digest=b"c")
    program.inputs.append(0)
    for i in range(2, 2 + draw(st.integers(1, 9))):
        op = draw(st.sampled_from(["Add", "Neg", "Reshape", "Concat"]))
        a = draw(st.integers(0, i - 1))
        shape = list(program.tensors[a].type.shape)
        inputs = [a]
        if op == "Reshape":
            rows = int(np.prod(shape)) // 16
            shape = draw(st.sampled_from([[rows, 4, 4], [rows * 4, 4], [1, rows * 16]]))
        if op == "Add":
            same = [k for k in range(i) if list(program.tensors[k].type.shape) == shape]
            inputs.append(draw(st.sampled_from(same)))
        if op == "Concat":
            axis = int(shape[0] == 1)
            shapes = [list(tensor.type.shape) for tensor in program.tensors]
            fits = [k for k in range(i) if _but(shapes[k], axis) == _but(shape, axis)]
            inputs += draw(st.lists(st.sampled_from(fits), min_size=1, max_size=2))
            shape[axis] = sum(program.tensors[k].type.shape[axis] for k in inputs)
        program.tensors.add(name=f"t{i}", type=_type(shape))
        layer = program.layers.add(name=f"l{i}", op=op, inputs=inputs, outputs=[i])
        if op == "Reshape":
            layer.attrs["shape"].ints.values.extend(shape)
        if op == "Concat":
            layer.attrs["axis"].i = axis
    made = range(2, len(program.tensors))
    program.outputs.extend(draw(st.lists(st.sampled_from(made), min_size=1, unique=True)))
    return program


def _expected(program: program_pb2.Program, x: np.ndarray) -> dict[str, np.ndarray]:
    values = {0: x, 1: _CONSTANT.reshape(_SHAPE)}
    for layer in program.layers:
        a, *rest = (values[i] for i in layer.inputs)
        if layer.op == "Concat":
            result = np.concatenate([a, *rest], layer.attrs["axis"].i)
        else:
            result = -a if layer.op == "Neg" else a + rest[0] if rest else a
        values[layer.outputs[0]] = result.reshape(program.tensors[layer.outputs[0]].type.shape)
    return {program.tensors[i].name: values[i] for i in program.outputs}


def _runner(program: program_pb2.Program, threads: int = 1) -> Runner:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "random.coexec"
        format.save(program, [StoredConstant(b"c", "f32", "dense", _CONSTANT)], path)
        return Runner(format.load(path), threads)


@settings(deadline=None)
@given(programs())
def test_a_program_gives_what_its_layers_say(program: program_pb2.Program) -> None:
    runner = _runner(program)
    x = np.random.default_rng(0).standard_normal(_SHAPE).astype(np.float32)
    kept = x.copy()
    for _ in range(2):  # the second run finds the memory of the first
        got = runner.run({"t0": x})
        for name, want in _expected(program, x).items():
            np.testing.assert_array_equal(got[name], want)
    np.testing.assert_array_equal(x, kept)


def _neg() -> Runner:
    program = program_pb2.Program(name="neg")
    program.tensors.add(name="x", type=_type([2, 2]))
    program.tensors.add(name="y", type=_type([2, 2]))
    program.layers.add(name="neg", op="Neg", inputs=[0], outputs=[1])
    program.inputs.append(0)
    program.outputs.append(1)
    return _runner(program)


def test_inputs_that_do_not_fit_are_named() -> None:
    runner = _neg()
    with pytest.raises(RunError, match=r"inputs \['z'\] given, the model takes \['x'\]"):
        runner.run({"z": np.zeros((2, 2), np.float32)})
    with pytest.raises(RunError, match=r"input 'x': float64\[2, 2\] given, f32\[2, 2\] expected"):
        runner.run({"x": np.zeros((2, 2))})
    with pytest.raises(RunError, match=r"float32\[3\] given"):
        runner.run({"x": np.zeros(3, np.float32)})


def test_any_input_that_is_such_an_array_will_do() -> None:
    runner = _neg()
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    frozen = x.copy()
    frozen.flags.writeable = False
    for array in (x, frozen, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(runner.run({"x": array})["y"], -x)
        assert list(runner.layer_us) == [0]


def test_what_a_run_returned_stays_as_it_was() -> None:
    runner = _neg()
    results = [runner.run({"x": np.full((2, 2), i, np.float32)})["y"] for i in range(3)]
    part = runner.run({"x": np.full((2, 2), 3, np.float32)})["y"][0]
    results.append(runner.run({"x": np.full((2, 2), 4, np.float32)})["y"])
    np.testing.assert_array_equal(np.array(results)[:, 0, 0], [0, -1, -2, -4])
    np.testing.assert_array_equal(part, [-3, -3])


def test_inputs_that_only_onnx_runtime_takes_are_refused() -> None:
    """A model of one ONNX Runtime layer, whose subgraph takes any rows, and any shape of s."""
    program = program_pb2.Program(name="scaled")
    for name, shape in (("x", [2, 3]), ("s", []), ("y", [2, 3])):
        program.tensors.add(name=name, type=_type(shape))
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>\n'
        "scaled (float[N, 3] x, float s) => (float[N, 3] y) { y = Mul(x, s) }"
    )
    program.layers.add(
        name="all",
        op=ONNX_RUNTIME,
        onnx_model=model.SerializeToString(),
        inputs=[0, 1],
        outputs=[2],
    )
    program.inputs.extend([0, 1])
    program.outputs.append(2)
    runner = _runner(program)
    x, s = np.ones((2, 3), np.float32), np.array(2, np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(runner.run({"x": x, "s": s})["y"], 2 * x)
        with pytest.raises(RunError, match=r"input 'x': float32\[1, 3\] given, f32\[2, 3\]"):
            runner.run({"x": x[:1], "s": s})
        with pytest.raises(RunError, match=r"input 's': float32\[3\] given"):
            runner.run({"x": x, "s": np.ones(3, np.float32)})
        with pytest.raises(RunError, match=r"inputs \['s'\] given"):
            runner.run({"s": s})
        with pytest.raises(RunError, match=r"input 's': float64\[\] given"):
            runner.run({"x": x, "s": np.array(2.0)})
