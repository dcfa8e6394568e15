"""Shared memory regions. Device memory cannot be shared with this server: its registration is
refused, and asking for or removing what is registered finds nothing."""

from __future__ import annotations

from typing import Any

from coexec.daemon.errors import unsupported
from coexec.daemon.regions import Regions
from coexec.daemon.services.handlers import unary
from coexec.protos import inference_pb2 as pb


class SharedMemoryService:
    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    def handlers(self) -> dict[str, Any]:
        return {
            "SystemSharedMemoryStatus": unary(pb.SystemSharedMemoryStatusRequest, self._status),
            "SystemSharedMemoryRegister": unary(
                pb.SystemSharedMemoryRegisterRequest, self._register
            ),
            "SystemSharedMemoryUnregister": unary(
                pb.SystemSharedMemoryUnregisterRequest, self._unregister
            ),
            "CudaSharedMemoryStatus": unary(pb.CudaSharedMemoryStatusRequest, self._cuda_status),
            "CudaSharedMemoryRegister": unary(
                pb.CudaSharedMemoryRegisterRequest, self._cuda_register
            ),
            "CudaSharedMemoryUnregister": unary(
                pb.CudaSharedMemoryUnregisterRequest, self._cuda_unregister
            ),
        }

    def _status(
        self, request: pb.SystemSharedMemoryStatusRequest
    ) -> pb.SystemSharedMemoryStatusResponse:
        response = pb.SystemSharedMemoryStatusResponse()
        for region in self._regions.select(request.name):
            status = response.regions[region.name]
            status.name, status.key = region.name, region.key
            status.offset, status.byte_size = region.offset, region.byte_size
        return response

    def _register(
        self, request: pb.SystemSharedMemoryRegisterRequest
    ) -> pb.SystemSharedMemoryRegisterResponse:
        self._regions.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    def _unregister(
        self, request: pb.SystemSharedMemoryUnregisterRequest
    ) -> pb.SystemSharedMemoryUnregisterResponse:
        self._regions.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()

    def _cuda_status(
        self, _: pb.CudaSharedMemoryStatusRequest
    ) -> pb.CudaSharedMemoryStatusResponse:
        return pb.CudaSharedMemoryStatusResponse()

    def _cuda_register(
        self, request: pb.CudaSharedMemoryRegisterRequest
    ) -> pb.CudaSharedMemoryRegisterResponse:
        raise unsupported(
            f"failed to register CUDA shared memory region '{request.name}': CUDA shared memory "
            "is not supported; use system shared memory"
        )

    def _cuda_unregister(
        self, _: pb.CudaSharedMemoryUnregisterRequest
    ) -> pb.CudaSharedMemoryUnregisterResponse:
        return pb.CudaSharedMemoryUnregisterResponse()
