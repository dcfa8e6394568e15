"""The daemon's messages as plain data, tables and traces, for people and for programs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from coexec.protos import coexec_pb2, engine_pb2, inference_pb2


def facts(message: Message) -> dict[str, Any]:
    """A message as a dictionary with every field in it; numbers stay numbers."""
    plain: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            plain[field.name] = {str(key): _fact(inner, value[key]) for key in value}
        elif field.is_repeated:
            plain[field.name] = [_fact(field, item) for item in value]
        elif field.containing_oneof is None or message.HasField(field.name):
            plain[field.name] = _fact(field, value)
    return plain


def _fact(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return facts(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return value.hex() if isinstance(value, bytes) else value


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns padded to their widest cell; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(head, *cells, strict=True)]
    right = [bool(rows) and isinstance(value, int | float) for value in (rows[0] if rows else head)]

    def line(texts: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if is_number else text.ljust(width)
            for text, width, is_number in zip(texts, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(head), *map(line, cells)])


def _cell(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _mean_ms(duration: inference_pb2.StatisticDuration) -> float:
    return duration.ns / duration.count / 1e6 if duration.count else 0.0


def statistics_table(models: Sequence[inference_pb2.ModelStatistics]) -> str:
    """A line per model: answers, failures, mean milliseconds in queue and in computation."""
    rows = [
        (
            f"{model.name}/{model.version}",
            model.inference_stats.success.count,
            model.inference_stats.fail.count,
            f"{_mean_ms(model.inference_stats.success):.2f}",
            f"{_mean_ms(model.inference_stats.queue):.2f}",
            f"{_mean_ms(model.inference_stats.compute_infer):.2f}",
        )
        for model in models
    ]
    return table(("model", "answered", "failed", "mean ms", "queue ms", "compute ms"), rows)


def _labels(programs: Sequence[engine_pb2.ProgramStats]) -> dict[int, str]:
    """What a program is called, by its id: the model, and its shapes where a model is there for
    several."""
    times = Counter((program.model, program.version) for program in programs)
    labels = {}
    for program in programs:
        labels[program.program_id] = f"{program.model}/{program.version}"
        if times[program.model, program.version] > 1:
            shapes = ", ".join(program.inputs) or f"program {program.program_id}"
            labels[program.program_id] += f" {shapes}"
    return labels


def top_text(now: coexec_pb2.Statistics, before: coexec_pb2.Statistics | None) -> str:
    """What the daemon does: rates since `before`, lanes, memory."""
    engine = now.engine
    if not engine.now_us:
        return f"the engine is being started; engine restarts: {now.engine_restarts}"
    if before and (before.engine_restarts != now.engine_restarts or not before.engine.now_us):
        before = None  # its counts were another engine's
    passed_us = engine.now_us - before.engine.now_us if before else 0
    done = {p.program_id: p.requests for p in before.engine.programs} if before else {}
    busy = {lane.name: lane.busy_us for lane in before.engine.lanes} if before else {}
    rows = []
    labels = _labels(engine.programs)
    for program in sorted(engine.programs, key=lambda p: (p.model, p.version, p.program_id)):
        answered = program.requests - done.get(program.program_id, 0)
        rate = answered / passed_us * 1e6 if passed_us else 0.0
        rows.append(
            (
                labels[program.program_id],
                rate,
                program.requests,
                program.queue_len,
                program.deadlines_missed,
                program.refused,
                program.jobs_shared,
            )
        )
    head = ("model", "per s", "requests", "queued", "missed", "refused", "shared")
    lanes = ", ".join(
        f"{lane.name} {(lane.busy_us - busy.get(lane.name, 0)) / passed_us:.0%}"
        if passed_us
        else lane.name
        for lane in engine.lanes
    )
    return "\n".join(
        [
            f"lanes: {lanes}",
            f"memory: {engine.resident_bytes / 1e6:.0f} MB resident; weights "
            f"{engine.weight_bytes / 1e6:.1f} MB stored, {engine.weight_bytes_alone / 1e6:.1f} MB "
            f"if each model kept its own; engine restarts: {now.engine_restarts}",
            "",
            table(head, rows),
        ]
    )


def reuse_text(report: engine_pb2.SharingReport) -> str:
    """Who shares what."""
    segments = [
        (" + ".join(s.users), s.layers, s.runs, s.hits, s.cost_us, s.saved_us / 1e3)
        for s in report.segments
        if len(s.users) > 1 or s.hits
    ]
    shared: dict[tuple[str, ...], tuple[int, int]] = {}
    for tensor in report.tensors:
        if len(tensor.users) > 1:
            count, size = shared.get(tuple(tensor.users), (0, 0))
            shared[tuple(tensor.users)] = count + 1, size + tensor.bytes
    weights = [(" + ".join(users), count, size) for users, (count, size) in shared.items()]
    parts = [
        f"{report.bytes_saved / 1e6:.2f} MB of weights and {report.saved_us / 1e6:.3f} s of "
        "computation saved"
    ]
    if weights:
        parts.append(table(("weights shared by", "tensors", "bytes"), weights))
    if segments:
        head = ("segments shared by", "layers", "runs", "hits", "mean us", "saved ms")
        parts.append(table(head, segments))
    return "\n\n".join(parts)


def trace(window: engine_pb2.TimelineWindow) -> dict[str, Any]:
    """The timeline in the Trace Event Format that Chrome and Perfetto read: a row per lane."""
    lanes = sorted({span.lane for span in window.spans})
    names = [
        {"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": lane}}
        for row, lane in enumerate(lanes)
    ]
    runs = [
        {
            "name": span.name,
            "cat": span.model,
            "ph": "X",
            "ts": span.start_us,
            "dur": span.duration_us,
            "pid": 1,
            "tid": lanes.index(span.lane),
            "args": {
                "model": span.model,
                "request": span.request_id,
                "requests answered": span.shared_by,
            },
        }
        for span in window.spans
    ]
    return {"displayTimeUnit": "ms", "traceEvents": [*names, *runs]}
