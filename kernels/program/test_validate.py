"""Programs that nothing may trust, each refused for what is wrong with it."""

from collections.abc import Callable

import pytest

from coexec.kernels.program.errors import FormatError
from coexec.kernels.program.validate import validate
from coexec.protos import program_pb2

Program = program_pb2.Program


def _program() -> Program:
    """y = Relu(x)."""
    program = program_pb2.Program(name="toy")
    for name in ("x", "y"):
        kind = program_pb2.TensorType(dtype="f32", shape=[2, 3], layout="dense")
        program.tensors.add(name=name, type=kind)
    program.layers.add(name="relu", op="Relu", inputs=[0], outputs=[1])
    program.inputs.append(0)
    program.outputs.append(1)
    return program


def _twice(program: Program) -> None:
    program.layers.add(name="again", op="Relu", inputs=[0], outputs=[1])


def _input_as_output(program: Program) -> None:
    program.outputs[0] = 0


def _unknown_type(program: Program) -> None:
    program.tensors[1].type.dtype = "f31"


def _unknown_layout(program: Program) -> None:
    program.tensors[1].type.layout = "diagonal"


def _too_large(program: Program) -> None:
    program.tensors[1].type.shape[:] = [1 << 21, 1 << 21]


def _negative(program: Program) -> None:
    program.tensors[1].type.shape[:] = [2, -3]


def _dynamic(program: Program) -> None:
    program.tensors[0].type.shape[:] = [-1, 3]


def _dynamic_constant(program: Program) -> None:
    program.tensors[0].constant = True
    program.tensors[0].type.shape[:] = [-1, 3]


def _reshape_of_two(program: Program) -> None:
    program.layers[0].op = "Reshape"
    program.layers[0].inputs.append(0)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_twice, "layer 'again' computes 'y' again"),
        (_input_as_output, "output 'x' is not computed by a layer"),
        (_unknown_type, "'y' has dtype 'f31', layout 'dense'; expected one of"),
        (_unknown_layout, "'y' has dtype 'f32', layout 'diagonal'; expected one of"),
        (_too_large, r"'y' has shape \[2097152, 2097152\]"),
        (_negative, r"'y' has shape \[2, -3\]"),
        (_dynamic, "layer 'relu' is native, but 'x' has no fixed shape"),
        (_dynamic_constant, r"'x' has shape \[-1, 3\]"),
        (_reshape_of_two, "layer 'relu' must have one operand and one result"),
    ],
)
def test_what_is_wrong_is_said(damage: Callable[[Program], None], says: str) -> None:
    program = _program()
    validate(program, "toy")
    damage(program)
    with pytest.raises(FormatError, match=says):
        validate(program, "toy")
