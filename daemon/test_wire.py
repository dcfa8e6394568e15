from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.daemon.errors import RequestError
from coexec.daemon.wire import parse_with_raw, response_parts, stream_response
from coexec.protos import inference_pb2 as pb

RAW = pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=5), st.text(max_size=5), st.binary(max_size=40))
def test_cut_raw_equals_the_parsed_field(raw: Any, name: Any, unknown: Any) -> None:
    message = pb.ModelInferRequest(model_name=name, id="7", raw_input_contents=raw)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    data = message.SerializeToString() + b"\x7a" + bytes([len(unknown)]) + unknown
    head, cut = parse_with_raw(pb.ModelInferRequest, data, RAW)
    assert [bytes(entry) for entry in cut] == raw
    assert not head.raw_input_contents
    head.DiscardUnknownFields()
    head.raw_input_contents.extend(raw)
    assert head == message


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_parse_as_the_parser_says(data: Any) -> None:
    try:
        want = pb.ModelInferRequest.FromString(data)
    except Exception:
        with pytest.raises(RequestError, match=r"is not a inference\.ModelInferRequest"):
            parse_with_raw(pb.ModelInferRequest, data, RAW)
        return
    head, raw = parse_with_raw(pb.ModelInferRequest, data, RAW)
    assert [bytes(entry) for entry in raw] == list(want.raw_input_contents)
    del head.raw_input_contents[:]
    del want.raw_input_contents[:]
    assert head == want


def test_a_field_of_another_wire_type_is_left_to_the_parser() -> None:
    message = pb.ModelInferRequest(model_name="m", raw_input_contents=[b"ab"])
    varint_field_9 = b"\x48\x01"
    head, raw = parse_with_raw(
        pb.ModelInferRequest, message.SerializeToString() + varint_field_9, RAW
    )
    assert head.model_name == "m"
    assert raw == [b"ab"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_response_parts_are_the_response(raw: Any) -> None:
    head = pb.ModelInferResponse(model_name="m", model_version="3", id="q")
    parts = response_parts(head, [memoryview(entry) for entry in raw])
    whole = pb.ModelInferResponse.FromString(b"".join(parts))
    assert list(whole.raw_output_contents) == raw
    assert whole.id == "q"
    streamed = pb.ModelStreamInferResponse.FromString(stream_response(parts))
    assert streamed.infer_response == whole


def test_a_response_beyond_the_bound_is_refused() -> Any:
    class Huge(bytes):
        def __len__(self) -> Any:
            return 2**31

    with pytest.raises(RequestError, match="ask for fewer outputs"):
        response_parts(pb.ModelInferResponse(), [Huge()])
