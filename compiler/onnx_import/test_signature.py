from pathlib import Path

import onnx
import onnx.parser
import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.onnx_import import Signature, read_signature, signature_of

_HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'


def _signature(text: str) -> Signature:
    return signature_of(onnx.parser.parse_model(_HEAD + text))


@pytest.fixture
def dynamic() -> Signature:
    return _signature(
        "g (float[N,3,H] image, int64[N] length, float[2] gain) => (float[N,M] y) {y = Relu(image)}"
    )


def test_dims_and_their_names(dynamic: Signature) -> None:
    image, length, gain = dynamic.inputs
    assert (image.name, image.dtype, image.shape) == ("image", "f32", (-1, 3, -1))
    assert image.symbols == ("N", "", "H")
    assert (length.dtype, length.symbols) == ("i64", ("N",))
    assert gain.is_static
    assert not dynamic.is_static
    assert str(image) == "image f32[N, 3, H]"


def test_binding(dynamic: Signature) -> None:
    bound = dynamic.bind("m", {"image": (4, 3, 8), "length": (4,)})
    assert bound == {"image": (4, 3, 8), "length": (4,), "gain": (2,)}


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        ({}, r"m: input image f32\[N, 3, H\] has dimensions .* --shape image=1,3,1"),
        ({"image": (4, 3, 8), "length": (5,)}, "dimension N is 4 and 5; inputs that share it"),
        ({"image": (4, 2, 8), "length": (4,)}, r"given the shape \[4, 2, 8\]; it takes image f32"),
        ({"image": (4, 3), "length": (4,)}, r"given the shape \[4, 3\]"),
        ({"image": (4, 3, -8), "length": (4,)}, "cannot have the shape"),
        ({"image": (4, 3, 2**60), "length": (4,)}, "cannot have the shape"),
        ({"nope": (1,)}, "has no input 'nope'; its inputs are gain, image, length"),
    ],
)
def test_what_does_not_fit(
    dynamic: Signature, shapes: dict[str, tuple[int, ...]], error: str
) -> None:
    with pytest.raises(CompileError, match=error):
        dynamic.bind("m", shapes)


def test_an_input_with_an_initializer_is_a_constant() -> None:
    model = onnx.parser.parse_model(
        _HEAD
        + "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1.0, 2.0}> {y = Add(x, w)}"
    )
    assert [spec.name for spec in signature_of(model).inputs] == ["x"]


def test_what_is_no_tensor(tmp_path: Path) -> None:
    signature = _signature(
        "g (seq(float[2]) s, float x) => (float[2] y) {y = ConcatFromSequence<axis=0>(s)}"
    )
    assert signature.inputs[0].dtype == "sequence"
    assert signature.inputs[0].type.dtype == "opaque"
    assert str(signature.inputs[0]) == "s sequence of any shape"
    path = tmp_path / "m.onnx"
    path.write_bytes(
        onnx.parser.parse_model(
            _HEAD + "g (float x) => (float y) {y = Relu(x)}"
        ).SerializeToString()
    )
    assert read_signature(path).inputs[0].shape == ()
