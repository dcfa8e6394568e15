"""Standard health checking and reflection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import _async as health_aio
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import _async as reflection_aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from coexec.protos.pool import POOL

HEALTH_SERVICE = health.SERVICE_NAME
# Both carry the same messages; clients ask for either.
REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)


class Health:
    """NOT_SERVING until the models are loaded, and again when the daemon stops."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = ["", *services]
        self._servicer = health_aio.HealthServicer()
        self._servicer._server_status.clear()
        self.is_serving = False
        self._starting = dict.fromkeys(self._services, health_pb2.HealthCheckResponse.NOT_SERVING)
        self._servicer._server_status.update(self._starting)

    async def set_serving(self) -> None:
        self.is_serving = True
        for service in self._services:
            await self._servicer.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def set_stopping(self) -> None:
        self.is_serving = False
        await self._servicer.enter_graceful_shutdown()

    def services(self) -> dict[str, dict[str, Any]]:
        request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
        return {
            HEALTH_SERVICE: {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._servicer.Check, request.FromString, response.SerializeToString
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self._servicer.Watch, request.FromString, response.SerializeToString
                ),
            }
        }


def reflection_handlers(services: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The reflection services, describing `services` and themselves."""
    servicer: Any = reflection_aio.ReflectionServicer(  # type: ignore[no-untyped-call]
        [*services, *REFLECTION_SERVICES], pool=_descriptions()
    )
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {name: {"ServerReflectionInfo": handler} for name in REFLECTION_SERVICES}


def _descriptions() -> DescriptorPool:
    """Our pool, and what the standard services say."""
    files = [health_pb2.DESCRIPTOR.serialized_pb, reflection_pb2.DESCRIPTOR.serialized_pb]
    files.append(_renamed(reflection_pb2.DESCRIPTOR.serialized_pb).SerializeToString())
    for file in files:
        POOL.AddSerializedFile(file)
    return POOL


def _renamed(serialized: bytes) -> descriptor_pb2.FileDescriptorProto:
    """v1alpha's description as v1's: the package is all that differs."""
    file = descriptor_pb2.FileDescriptorProto.FromString(serialized)
    old, new = ".grpc.reflection.v1alpha.", ".grpc.reflection.v1."
    file.name = file.name.replace("v1alpha", "v1")
    file.package = file.package.replace("v1alpha", "v1")
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(old, new)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(old, new)
            method.output_type = method.output_type.replace(old, new)
    return file
