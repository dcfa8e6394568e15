from typing import Any

import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.tune.choice import IN_ITS_RUN
from coexec.compiler.tune.explain import why
from coexec.protos import program_pb2

_PROGRAM = program_pb2.Program(
    name="net",
    layers=[
        program_pb2.Layer(
            name="conv",
            op="Conv",
            choice=program_pb2.Choice(
                candidates=[
                    program_pb2.Candidate(name="bcr", work=0.1, measured_us=12.5),
                    program_pb2.Candidate(name="dense", work=1.0, note="not measured"),
                ],
                taken="bcr",
                mode="fast",
            ),
        ),
        program_pb2.Layer(name="relu", op="Relu"),
        program_pb2.Layer(
            name="rest",
            op="OnnxRuntime",
            why_not_native="a (Tan): no native kernel\nb/x (Relu): faster there",
        ),
    ],
)


def test_candidates_with_the_taken_one_marked() -> None:
    head, first, second = why(_PROGRAM, "conv").lines()
    assert head == "conv (Conv)"
    assert first.split()[:4] == ["*", "bcr", "12.5", "us"]
    assert "predicted work 0.10 of plain dense" in first
    assert second.split()[:3] == ["dense", "-", "predicted"]
    assert second.endswith("not measured")


def test_a_layer_nobody_measured_says_so() -> None:
    assert "`coexec tune` measures" in list(why(_PROGRAM, "relu").lines())[1]


def test_a_layer_inside_another() -> None:
    found = why(_PROGRAM, "b/x")
    assert (found.op, found.inside, found.reason) == ("Relu", "rest", "faster there")


def _quantized(options: dict[str, str], **f32: Any) -> list[str]:
    """What is said of an f32 layer that nobody measured, next to one of int8."""
    types = {"x": ("f32", False), "w": ("f32", True), "q": ("i8", True)}
    program = program_pb2.Program(
        tensors=[
            program_pb2.Tensor(
                name=name,
                type=program_pb2.TensorType(dtype=dtype, shape=[4, 4]),
                constant=constant,
            )
            for name, (dtype, constant) in types.items()
        ],
        layers=[
            program_pb2.Layer(name="int8", op="Gemm", inputs=[0, 2, -1]),
            program_pb2.Layer(**{"name": "plain", "op": "Gemm", "inputs": [0, 1, -1], **f32}),
        ],
        options=options,
    )
    return list(why(program, "plain").lines())[1:]


def test_a_quantized_model_is_not_advised_what_cannot_help() -> None:
    no_foreign = (
        "  ONNX Runtime is no candidate: the model is quantized, and ONNX Runtime's results would "
        "be others"
    )
    few = "  no other layout: fewer than 10% of its weights are zeros"
    none = "  nothing was measured"
    assert _quantized({"tune": "fast"}) == [none, few, no_foreign]
    relu = ["  no other layout: it has no weights to lay out", no_foreign]
    assert _quantized({"tune": ""}, op="Relu", inputs=[0]) == [none, *relu]
    assert _quantized({}, op="OnnxRuntime", inputs=[0]) == [none]
    advice = f"{none}; `coexec tune` does if 10% of its weights are zeros"
    assert _quantized({"tune": ""}) == [advice, no_foreign]
    assert _quantized({"keep_native": "yes"})[1].endswith("compiled with --keep-native")


def _of_weights(dtype: str, options: dict[str, str], mode: str = "fast") -> list[str]:
    """What is said of a layer that was timed here and in ONNX Runtime alone."""
    type = program_pb2.TensorType(dtype=dtype, shape=[4, 4])
    rows = [program_pb2.Candidate(name=name) for name in ("native", "onnxruntime")]
    program = program_pb2.Program(
        tensors=[
            program_pb2.Tensor(name="x", type=type),
            program_pb2.Tensor(name="w", type=type, constant=True),
        ],
        layers=[
            program_pb2.Layer(
                name="fc",
                op="Gemm",
                inputs=[0, 1],
                choice=program_pb2.Choice(candidates=rows, taken="native", mode=mode),
            )
        ],
        options=options,
    )
    return list(why(program, "fc").lines())[3:]


def test_why_there_is_no_other_way() -> None:
    assert _of_weights("f32", {}) == ["  no other layout: fewer than 10% of its weights are zeros"]
    assert _of_weights("f32", {}, mode="") == []
    integers, no_foreign = _of_weights("i8", {"type": "int8"})
    assert integers == "  no other layout: weights of i8 have one, dense"
    assert "ONNX Runtime is no candidate: the model is compiled with --type int8" in no_foreign
    assert _of_weights("f32", {"keep_native": "yes"})[1].endswith("compiled with --keep-native")
    relu = list(why(_PROGRAM, "relu").lines())
    assert relu[2] == "  no other layout: it has no weights to lay out"


def test_why_a_layer_stays_though_onnx_runtime_has_a_faster_kernel() -> None:
    rows = [
        program_pb2.Candidate(name="native", measured_us=9.0),
        program_pb2.Candidate(name="onnxruntime", measured_us=8.0, note=IN_ITS_RUN),
    ]
    layer = program_pb2.Layer(name="relu", op="Relu")
    layer.choice.CopyFrom(program_pb2.Choice(candidates=rows, taken="native", mode="fast"))
    stays = "  (stays here: with layers handed over, the whole model was not faster)"
    assert list(why(program_pb2.Program(layers=[layer]), "relu").lines())[3] == stays
    layer.choice.candidates[1].measured_us = 9.5
    assert stays not in why(program_pb2.Program(layers=[layer]), "relu").lines()


def test_a_weight_that_another_layer_laid_out() -> None:
    type = program_pb2.TensorType(dtype="f32", shape=[4, 4])
    program = program_pb2.Program(
        tensors=[program_pb2.Tensor(name="w", type=type, constant=True)],
        layers=[
            program_pb2.Layer(name=name, op="Gemm", inputs=[-1, 0]) for name in ("first", "second")
        ],
        options={"tune": "fast"},
    )
    assert list(why(program, "second").lines())[1:] == ["  nothing was measured"]


def test_types_leave_onnx_runtime_out() -> None:
    typed = program_pb2.Program(layers=_PROGRAM.layers, options={"type": "bf16"})
    for layer in ("conv", "relu"):
        assert "ONNX Runtime is no candidate" in list(why(typed, layer).lines())[-1]
    assert not why(typed, "rest").excluded


def test_an_unknown_layer_lists_the_known() -> None:
    with pytest.raises(
        CompileError, match="has no layer 'c'; there are conv and 4 more; `coexec inspect --json`"
    ):
        why(_PROGRAM, "c")
