"""Snapshots of the engine as protobuf messages."""

import resource
from collections.abc import Collection
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from coexec.protos import engine_pb2
from coexec.scheduler import _core
from coexec.scheduler.engine.manager import Manager


def snapshot(manager: Manager) -> engine_pb2.EngineSnapshot:
    engine = manager.engine
    stored = manager.weights.all()
    message = engine_pb2.EngineSnapshot(
        now_us=_core.now_us(),
        weight_bytes=sum(weight.nbytes for weight in stored),
        weight_bytes_alone=sum(weight.nbytes * len(weight.users) for weight in stored),
        slots_full=engine.replies_full,
        ring_full=engine.ring_full,
        resident_bytes=_resident_bytes(),
    )
    for lane in engine.lane_stats():
        message.lanes.add(**_fields(engine_pb2.LaneStats, lane))
    for program in engine.program_stats():
        own: dict[str, Any] = {
            "program_id": program.id,
            "model": program.model,
            "version": program.version,
            "constant_bytes": manager.weights.program_bytes(program.id),
            "inputs": _inputs(manager, program.id),
        }
        message.programs.add(**own, **_fields(engine_pb2.ProgramStats, program.stats, own))
    return message


def _fields(kind: type[Message], source: object, but: Collection[str] = ()) -> dict[str, Any]:
    """What `source` has under the names of the fields of `kind`, except for `but`."""
    return {
        name: getattr(source, name) for name in kind.DESCRIPTOR.fields_by_name if name not in but
    }


def _inputs(manager: Manager, program_id: int) -> list[str]:
    loaded = manager.programs.get(program_id)
    if loaded is None:  # being loaded or unloaded at this moment
        return []
    program = loaded.model.program
    inputs = [program.tensors[i] for i in program.inputs]
    return [f"{one.name} {one.type.dtype}{list(one.type.shape)}" for one in inputs]


def progress(manager: Manager) -> engine_pb2.EngineProgress:
    message = engine_pb2.EngineProgress(
        steps_run=sum(lane.steps_run for lane in manager.engine.lane_stats())
    )
    for at in manager.engine.progress():
        own: dict[str, Any] = {"step": at.name, "step_number": at.step}
        message.lanes.add(**own, **_fields(engine_pb2.LaneProgress, at, own))
    return message


def sharing(manager: Manager) -> engine_pb2.SharingReport:
    """Tensors and segments that more than one program uses, and what that saved."""
    report = engine_pb2.SharingReport()
    names = {i: program.name for i, program in manager.programs.items()}
    for weight in manager.weights.all():
        if len(weight.users) < 2:
            continue
        dtype, shape, _, digest = weight.key
        users = sorted(names[i] for i in weight.users if i in names)
        report.tensors.add(
            digest=digest.hex(), dtype=dtype, shape=shape, bytes=weight.nbytes, users=users
        )
        report.bytes_saved += weight.nbytes * (len(weight.users) - 1)
    for segment in manager.segments.values():
        stats = manager.engine.segment_stats(segment.core)
        cost_us = sum(stats.step_us)
        report.saved_us += stats.hits * cost_us
        if len(segment.planned.sharers) < 2 and stats.hits == 0:
            continue
        report.segments.add(
            digest=segment.planned.digest,
            users=sorted(names[i] for i in segment.planned.sharers if i in names),
            layers=len(segment.planned.layers),
            cost_us=cost_us,
            runs=stats.runs,
            hits=stats.hits,
            saved_us=stats.hits * cost_us,
        )
    return report


def plan(manager: Manager) -> engine_pb2.EnginePlan:
    message = engine_pb2.EnginePlan()
    names = {i: program.name for i, program in manager.programs.items()}
    for segment in manager.segments.values():
        message.segments.add(
            digest=segment.planned.digest,
            layers=segment.layer_names,
            lane_kind="cpu" if segment.planned.native else "onnxruntime",
            cost_us=sum(manager.engine.segment_stats(segment.core).step_us),
            workspace_bytes=segment.core.workspace_bytes,
            users=sorted(names[i] for i in segment.planned.sharers if i in names),
        )
    return message


def timeline(manager: Manager, window_us: int) -> engine_pb2.TimelineWindow:
    from_us = _core.now_us() - window_us if window_us else 0
    message = engine_pb2.TimelineWindow()
    for span in manager.engine.spans(from_us):
        message.spans.add(**_fields(engine_pb2.Span, span))
    return message


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
