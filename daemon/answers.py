"""What the engine computed, as the protocol's answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from coexec.compiler.ir.graph import np_dtype
from coexec.daemon.codec import classify
from coexec.daemon.datatypes import BY_DTYPE
from coexec.daemon.errors import RequestError, invalid
from coexec.daemon.parameters import read_classification, read_placement
from coexec.daemon.regions import Region, Regions
from coexec.daemon.repository.version import ModelVersion
from coexec.daemon.wire import Buffer, response_parts
from coexec.protos import inference_pb2 as pb
from coexec.scheduler._core import Output


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output the caller asked for, and how. region: where to put it instead of the message."""

    index: int
    name: str
    classes: int = 0  # 0: the values
    region: Region | None = None
    offset: int = 0
    byte_size: int = 0


def read_wanted(
    version: ModelVersion,
    outputs: Sequence[pb.ModelInferRequest.InferRequestedOutputTensor],
    regions: Regions,
) -> list[Wanted]:
    """In the order asked for; all of the model's when none is named. Raises RequestError."""
    if not outputs:
        return [Wanted(i, port.name) for i, port in enumerate(version.outputs)]
    wanted: list[Wanted] = []
    for output in outputs:
        name = output.name
        index = version.find_output(name)
        if any(other.index == index for other in wanted):
            raise invalid(f"output '{name}' is requested twice")
        classes = read_classification(name, output.parameters)
        placement = read_placement(name, output.parameters)
        if placement is None:
            wanted.append(Wanted(index, name, classes))
            continue
        if classes:
            raise invalid(f"output '{name}': shared memory can't be set on classification output")
        region = regions.get(placement.region)
        region.check(placement.offset, placement.byte_size)
        wanted.append(Wanted(index, name, 0, region, placement.offset, placement.byte_size))
    return wanted


def answer(
    version: ModelVersion,
    request_id: str,
    wanted: Sequence[Wanted],
    outputs: Sequence[Output],
    final: bool = False,
) -> list[Buffer]:
    """A ModelInferResponse in parts to be joined: one raw entry per output, empty for one that
    went to shared memory. final: the answer ends a stream's request. Raises RequestError."""
    head = pb.ModelInferResponse(
        model_name=version.name, model_version=version.version_text, id=request_id
    )
    if final:
        head.parameters["triton_final_response"].bool_param = True
    raw: list[Buffer] = []
    for want in wanted:
        output = outputs[want.index]
        if want.classes:
            raw.append(_classes(version, want, output, head))
            continue
        described = head.outputs.add(
            name=want.name, datatype=BY_DTYPE[output.dtype].wire, shape=output.shape
        )
        data = output.array.data
        if want.region is None:
            raw.append(data)
        else:
            _place(want, want.region, data)
            described.parameters["shared_memory_region"].string_param = want.region.name
            described.parameters["shared_memory_byte_size"].int64_param = len(data)
            if want.offset:
                described.parameters["shared_memory_offset"].int64_param = want.offset
            raw.append(b"")
    return response_parts(head, raw)


def _place(want: Wanted, region: Region, data: memoryview) -> None:
    if len(data) > want.byte_size:
        raise RequestError(
            grpc.StatusCode.INTERNAL,
            f"shared memory size specified with the request for output '{want.name}' "
            f"({want.byte_size} bytes) should be at least {len(data)} bytes to hold the results",
        )
    region.write_from(data, want.offset)


def _classes(
    version: ModelVersion, want: Wanted, output: Output, head: pb.ModelInferResponse
) -> bytes:
    if output.dtype == "string":
        raise invalid(f"output '{want.name}' holds BYTES; classification needs numbers")
    values = np.frombuffer(output.array, np_dtype(output.dtype)).reshape(output.shape)
    shape, data = classify(
        want.name,
        values,
        want.classes,
        version.labels.get(want.name, ()),
        version.options.max_batch > 0,
    )
    head.outputs.add(name=want.name, datatype="BYTES", shape=shape)
    return data
