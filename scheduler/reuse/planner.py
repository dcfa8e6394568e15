"""Cut programs into segments, so that what several have in common is one segment.

A layer's sharers are the programs that contain it. Along an edge sharers only become fewer: who
contains a layer contains all it reads. So layers of equal sharers form convex groups, and cutting
between groups leaves no cycle. Layers that ONNX Runtime runs are segments of their own, and a
group that costs more than the quantum is cut where few bytes cross.

Pure: equal programs give equal plans, whatever the order they were loaded in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coexec.scheduler.reuse.facts import LayerFacts, ProgramFacts

# A cut costs about as much as writing and reading so many bytes.
_CUT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """Layers that run as one unit, for all its sharers. Equal digests: equal segments."""

    digest: str
    native: bool
    layers: tuple[bytes, ...]  # keys, in an order that runs
    sharers: tuple[int, ...]
    outputs: tuple[bytes, ...]  # values that somebody outside reads


Plan = dict[int, tuple[PlannedSegment, ...]]  # by program, in an order that runs


def plan(programs: Iterable[ProgramFacts], quantum_us: float) -> Plan:
    """The segments of every program."""
    by_id = {program.id: program for program in sorted(programs, key=lambda p: p.id)}
    sharers = _sharers(by_id.values())
    segment_of: dict[bytes, int] = {}
    groups: list[tuple[tuple[int, ...], list[LayerFacts]]] = []
    for program in by_id.values():
        # Each group is cut once, in the order of the first program that has it.
        for group in _groups(program, sharers):
            if sharers[group[0].key][0] == program.id:
                for run in _cut(group, quantum_us):
                    segment_of.update((layer.key, len(groups)) for layer in run)
                    groups.append((sharers[run[0].key], run))
    needed = _needed(by_id.values(), segment_of)
    segments = [_segment(members, layers, needed[i]) for i, (members, layers) in enumerate(groups)]
    return {
        program.id: tuple(segments[i] for i in _order(program, segment_of))
        for program in by_id.values()
    }


def _sharers(programs: Iterable[ProgramFacts]) -> dict[bytes, tuple[int, ...]]:
    found: dict[bytes, list[int]] = {}
    for program in programs:
        for layer in program.layers:
            found.setdefault(layer.key, []).append(program.id)
    return {key: tuple(members) for key, members in found.items()}


def _groups(program: ProgramFacts, sharers: dict[bytes, tuple[int, ...]]) -> list[list[LayerFacts]]:
    """Layers of equal sharers, backend and depth. The depth counts the group borders on the
    way from the inputs; without it two native runs with ONNX Runtime between them would be one
    group that waits for itself."""
    made_by = {value: layer for layer in program.layers for value in layer.outputs}
    depth: dict[bytes, int] = {}
    groups: dict[tuple[object, ...], list[LayerFacts]] = {}
    for layer in program.layers:
        members = sharers[layer.key]
        depth[layer.key] = 0
        for value in layer.inputs:
            before = made_by.get(value)
            if before is None:
                continue
            together = layer.native and before.native and sharers[before.key] == members
            at = depth[before.key] + (0 if together else 1)
            depth[layer.key] = max(depth[layer.key], at)
        group = (members, depth[layer.key]) if layer.native else (layer.key,)
        groups.setdefault(group, []).append(layer)
    return list(groups.values())


def _cut(layers: Sequence[LayerFacts], quantum_us: float) -> list[list[LayerFacts]]:
    """Runs of at most quantum_us (or one layer), with the least bytes across the cuts."""
    if len(layers) == 1 or sum(layer.cost_us for layer in layers) <= quantum_us:
        return [list(layers)]
    crossing = _crossing_bytes(layers)
    best = [0.0] + [float("inf")] * len(layers)
    start_of = [0] * (len(layers) + 1)
    for end in range(1, len(layers) + 1):
        cost_us = 0.0
        for start in range(end - 1, -1, -1):
            cost_us += layers[start].cost_us
            if cost_us > quantum_us and start < end - 1:
                break
            total = best[start] + (crossing[start] + _CUT_BYTES if start > 0 else 0)
            if total < best[end]:
                best[end], start_of[end] = total, start
    runs = []
    end = len(layers)
    while end > 0:
        runs.append(list(layers[start_of[end] : end]))
        end = start_of[end]
    return runs[::-1]


def _crossing_bytes(layers: Sequence[LayerFacts]) -> list[int]:
    """For each i: bytes made before layers[i] and read by it or later, within the group."""
    made: dict[bytes, tuple[int, int]] = {}
    last: dict[bytes, int] = {}
    for i, layer in enumerate(layers):
        for value in layer.inputs:
            if value in made:
                last[value] = i
        for value, nbytes in zip(layer.outputs, layer.output_bytes, strict=True):
            made[value] = (i, nbytes)
    change = [0] * (len(layers) + 1)
    for value, reader in last.items():
        maker, nbytes = made[value]
        change[maker + 1] += nbytes
        change[reader + 1] -= nbytes
    crossing = []
    total = 0
    for delta in change[: len(layers)]:
        total += delta
        crossing.append(total)
    return crossing


def _needed(
    programs: Iterable[ProgramFacts], segment_of: dict[bytes, int]
) -> dict[int, set[bytes]]:
    """By segment: its values that another segment or a client reads, in any program."""
    needed: dict[int, set[bytes]] = {i: set() for i in segment_of.values()}
    for program in programs:
        maker = {
            value: segment_of[layer.key] for layer in program.layers for value in layer.outputs
        }
        for value in program.outputs:
            if value in maker:
                needed[maker[value]].add(value)
        for layer in program.layers:
            for value in layer.inputs:
                if value in maker and maker[value] != segment_of[layer.key]:
                    needed[maker[value]].add(value)
    return needed


def _segment(
    members: tuple[int, ...], layers: Sequence[LayerFacts], needed: set[bytes]
) -> PlannedSegment:
    # ONNX Runtime returns all its outputs anyway.
    native = layers[0].native
    outputs = tuple(
        value for layer in layers for value in layer.outputs if value in needed or not native
    )
    state = hashlib.blake2b(digest_size=16)
    for part in (*(layer.key for layer in layers), b"", *outputs):
        state.update(len(part).to_bytes(4, "little") + part)
    keys = tuple(layer.key for layer in layers)
    return PlannedSegment(state.hexdigest(), native, keys, members, outputs)


def _order(program: ProgramFacts, segment_of: dict[bytes, int]) -> list[int]:
    """The program's segments, each after those it reads from."""
    maker = {value: segment_of[layer.key] for layer in program.layers for value in layer.outputs}
    before: dict[int, set[int]] = {}
    for layer in program.layers:
        segment = segment_of[layer.key]
        reads = before.setdefault(segment, set())
        reads.update(maker[value] for value in layer.inputs if value in maker)
        reads.discard(segment)
    order: list[int] = []
    done: set[int] = set()
    waiting = list(before)  # in order of first appearance
    while waiting:
        ready = [segment for segment in waiting if before[segment] <= done]
        assert ready, "segments wait for each other"
        order += ready
        done.update(ready)
        waiting = [segment for segment in waiting if segment not in done]
    return order
