from typing import Any

import pytest

from coexec.daemon.errors import RequestError
from coexec.daemon.parameters import (
    Placement,
    RequestOptions,
    read_classification,
    read_options,
    read_placement,
)
from coexec.protos import inference_pb2 as pb

P = pb.InferParameter


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({}, RequestOptions()),
        ({"timeout": P(int64_param=5), "priority": P(uint64_param=1)}, RequestOptions(5, 1)),
        ({"priority": P(int64_param=2**32 - 1)}, RequestOptions(0, 2**32 - 1)),
        ({"sequence_id": P(int64_param=0), "sequence_start": P(bool_param=False)}, None),
        ({"triton_enable_empty_final_response": P(bool_param=True)}, None),
        ({"headers": P(string_param="a"), "binary_data_output": P(bool_param=True)}, None),
        ({"mine": P(double_param=0.5)}, None),
    ],
)
def test_options(parameters: Any, options: Any) -> None:
    assert read_options(parameters) == (options or RequestOptions())


@pytest.mark.parametrize(
    ("key", "parameter", "code", "text"),
    [
        ("timeout", P(uint64_param=5), "INVALID_ARGUMENT", "as int64_param"),
        ("timeout", P(int64_param=-1), "INVALID_ARGUMENT", "0 or more"),
        ("priority", P(string_param="1"), "INVALID_ARGUMENT", "must be an integer"),
        ("priority", P(int64_param=-1), "INVALID_ARGUMENT", "1 \\(highest\\)"),
        ("priority", P(uint64_param=2**32), "INVALID_ARGUMENT", "1 \\(highest\\)"),
        ("priority", P(), "INVALID_ARGUMENT", "must be an integer"),
        ("sequence_id", P(int64_param=4), "UNIMPLEMENTED", "sequences are not served"),
        ("sequence_id", P(string_param="s"), "UNIMPLEMENTED", "sequences are not served"),
        ("sequence_start", P(bool_param=True), "UNIMPLEMENTED", "sequences are not served"),
        ("sequence_end", P(bool_param=True), "UNIMPLEMENTED", "sequences are not served"),
        ("triton_other", P(bool_param=True), "INVALID_ARGUMENT", "reserved"),
        ("triton_enable_empty_final_response", P(int64_param=1), "INVALID_ARGUMENT", "bool"),
    ],
)
def test_refused_options(key: Any, parameter: Any, code: Any, text: Any) -> None:
    with pytest.raises(RequestError, match=text) as caught:
        read_options({key: parameter})
    assert caught.value.code.name == code


def test_placement() -> None:
    region, size = P(string_param="r"), P(int64_param=8)
    both = {"shared_memory_region": region, "shared_memory_byte_size": size}
    assert read_placement("x", {}) is None
    assert read_placement("x", {"other": P()}) is None
    assert read_placement("x", both) == Placement("r", 0, 8)
    assert read_placement("x", both | {"shared_memory_offset": P(int64_param=4)}) == Placement(
        "r", 4, 8
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"shared_memory_region": P(string_param="r")}, "needs 'shared_memory_byte_size'"),
        ({"shared_memory_byte_size": P(int64_param=1)}, "needs 'shared_memory_region'"),
        ({"shared_memory_offset": P(int64_param=1)}, "without a region"),
        (
            {"shared_memory_region": P(int64_param=1), "shared_memory_byte_size": P(int64_param=1)},
            "as string_param",
        ),
    ],
)
def test_refused_placements(given: Any, text: Any) -> None:
    with pytest.raises(RequestError, match=text):
        read_placement("x", given)


def test_classification_count() -> None:
    assert read_classification("y", {}) == 0
    assert read_classification("y", {"classification": P(int64_param=3)}) == 3
    for bad in (P(int64_param=0), P(int64_param=-2), P(string_param="3"), P()):
        with pytest.raises(RequestError, match="a count above 0"):
            read_classification("y", {"classification": bad})
