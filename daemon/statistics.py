"""What each model version has done, with the meaning Triton gives the numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import grpc

from coexec.protos import inference_pb2 as pb


@dataclass(slots=True)
class Duration:
    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=self.ns)


@dataclass(slots=True)
class RequestTimes:
    """One answered request, in nanoseconds."""

    total_ns: int
    queue_ns: int
    input_ns: int
    infer_ns: int
    output_ns: int


@dataclass(slots=True)
class BatchTimes:
    input: Duration = field(default_factory=Duration)
    infer: Duration = field(default_factory=Duration)
    output: Duration = field(default_factory=Duration)


@dataclass(slots=True)
class ModelStatistics:
    """Cumulative since the version was loaded. inferences counts batch elements, executions
    counts runs."""

    last_inference_ms: int = 0
    inferences: int = 0
    executions: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    input: Duration = field(default_factory=Duration)
    infer: Duration = field(default_factory=Duration)
    output: Duration = field(default_factory=Duration)
    batches: dict[int, BatchTimes] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)  # by reason, as Triton names them
    shared_jobs: int = 0
    saved_us: int = 0
    pending: int = 0

    def succeeded(self, times: RequestTimes, batch: int) -> None:
        self.last_inference_ms = time.time_ns() // 1_000_000
        self.inferences += batch
        self.executions += 1
        self.success.add(times.total_ns)
        self.queue.add(times.queue_ns)
        self.input.add(times.input_ns)
        self.infer.add(times.infer_ns)
        self.output.add(times.output_ns)
        row = self.batches.setdefault(batch, BatchTimes())
        row.input.add(times.input_ns)
        row.infer.add(times.infer_ns)
        row.output.add(times.output_ns)

    def failed(self, total_ns: int, code: grpc.StatusCode) -> None:
        self.fail.add(total_ns)
        reason = _REASONS.get(code, "OTHER")
        self.failures[reason] = self.failures.get(reason, 0) + 1

    def message(self, name: str, version: str, constant_bytes: int) -> pb.ModelStatistics:
        message = pb.ModelStatistics(
            name=name,
            version=version,
            last_inference=self.last_inference_ms,
            inference_count=self.inferences,
            execution_count=self.executions,
            inference_stats=pb.InferStatistics(
                success=self.success.message(),
                fail=self.fail.message(),
                queue=self.queue.message(),
                compute_input=self.input.message(),
                compute_infer=self.infer.message(),
                compute_output=self.output.message(),
                cache_hit=pb.StatisticDuration(),
                cache_miss=pb.StatisticDuration(),
            ),
        )
        for size, times in sorted(self.batches.items()):
            message.batch_stats.add(
                batch_size=size,
                compute_input=times.input.message(),
                compute_infer=times.infer.message(),
                compute_output=times.output.message(),
            )
        if constant_bytes:
            message.memory_usage.add(type="CPU", id=0, byte_size=constant_bytes)
        return message


FAILURE_REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
_REASONS = {
    grpc.StatusCode.RESOURCE_EXHAUSTED: "REJECTED",
    grpc.StatusCode.DEADLINE_EXCEEDED: "REJECTED",
    grpc.StatusCode.UNAVAILABLE: "REJECTED",
    grpc.StatusCode.CANCELLED: "CANCELED",
    grpc.StatusCode.INTERNAL: "BACKEND",
}
