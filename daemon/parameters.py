"""Request parameters with a fixed meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coexec.daemon.errors import invalid, unsupported
from coexec.protos import inference_pb2 as pb

_PRIORITY_MAX = 2**32 - 1
_SEQUENCE = ("sequence_id", "sequence_start", "sequence_end")


@dataclass(frozen=True, slots=True)
class RequestOptions:
    timeout_us: int = 0  # 0: none
    priority: int = 0  # 0: default; 1: highest


_NOTHING = RequestOptions()


def read_options(parameters: Mapping[str, pb.InferParameter]) -> RequestOptions:
    """Raises RequestError for a reserved parameter of the wrong type or without support. Keys
    that the protocol does not reserve are the caller's own."""
    if not parameters:
        return _NOTHING
    timeout_us = priority = 0
    for key, parameter in parameters.items():
        if key == "timeout":
            timeout_us = _timeout(parameter)
        elif key == "priority":
            priority = _priority(parameter)
        elif key in _SEQUENCE:
            _refuse_sequence(key, parameter)
        elif key == "triton_enable_empty_final_response":
            if parameter.WhichOneof("parameter_choice") != "bool_param":
                raise invalid(f"parameter '{key}' must be a bool, as bool_param")
        elif key.startswith("triton_"):
            raise invalid(f"parameter '{key}' is reserved: keys that start with 'triton_' are")
    return RequestOptions(timeout_us, priority)


def _timeout(parameter: pb.InferParameter) -> int:
    if parameter.WhichOneof("parameter_choice") != "int64_param" or parameter.int64_param < 0:
        raise invalid("parameter 'timeout' must be microseconds, 0 or more, as int64_param")
    return parameter.int64_param


def _priority(parameter: pb.InferParameter) -> int:
    kind = parameter.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param"):
        raise invalid("parameter 'priority' must be an integer, as uint64_param or int64_param")
    value: int = getattr(parameter, kind)
    if not 0 <= value <= _PRIORITY_MAX:
        raise invalid(
            f"parameter 'priority' is {value}; it is 0 (default), or 1 (highest) to {_PRIORITY_MAX}"
        )
    return value


def _refuse_sequence(key: str, parameter: pb.InferParameter) -> None:
    kind = parameter.WhichOneof("parameter_choice")
    if kind is not None and getattr(parameter, kind):
        raise unsupported(
            f"parameter '{key}' is set, but sequences are not served: send each request by itself"
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where in shared memory a tensor lies."""

    region: str
    offset: int
    byte_size: int


def read_placement(tensor: str, parameters: Mapping[str, pb.InferParameter]) -> Placement | None:
    """None for a tensor that is not in shared memory. Raises RequestError for half a placement."""
    if not parameters:
        return None
    region = parameters.get("shared_memory_region")
    size = parameters.get("shared_memory_byte_size")
    offset = parameters.get("shared_memory_offset")
    if region is None and size is None:
        if offset is not None:
            raise invalid(f"tensor '{tensor}' has shared_memory_offset without a region")
        return None
    if region is None or region.WhichOneof("parameter_choice") != "string_param":
        raise invalid(f"tensor '{tensor}' needs 'shared_memory_region', as string_param")
    if size is None or size.WhichOneof("parameter_choice") != "int64_param":
        raise invalid(f"tensor '{tensor}' needs 'shared_memory_byte_size', as int64_param")
    if offset is not None and offset.WhichOneof("parameter_choice") != "int64_param":
        raise invalid(f"tensor '{tensor}' has a 'shared_memory_offset' that is no int64_param")
    return Placement(
        region.string_param, offset.int64_param if offset is not None else 0, size.int64_param
    )


def read_classification(tensor: str, parameters: Mapping[str, pb.InferParameter]) -> int:
    """How many classes of an output to return instead of its values; 0: return the values."""
    parameter = parameters.get("classification") if parameters else None
    if parameter is None:
        return 0
    if parameter.WhichOneof("parameter_choice") != "int64_param" or parameter.int64_param <= 0:
        raise invalid(
            f"output '{tensor}': parameter 'classification' must be a count above 0, as int64_param"
        )
    return parameter.int64_param
