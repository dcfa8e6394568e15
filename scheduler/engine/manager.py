"""Which programs are loaded, and the segments they are cut into together."""

from __future__ import annotations

import ctypes
import gc
import threading
import time

from coexec.protos import engine_pb2
from coexec.scheduler import _core
from coexec.scheduler.engine.loaded import LiveSegment, LoadedProgram
from coexec.scheduler.engine.weights import WeightStore
from coexec.scheduler.reuse.planner import Plan, plan

# How long requests on an old plan may take before its memory is left to the next call.
_DRAIN_S = 5.0


class Manager:
    """Loads and unloads programs. load and unload may take long and are called from worker
    threads; everything else answers at once."""

    def __init__(self, engine: _core.Engine, quantum_us: int) -> None:
        self.engine = engine
        self.weights = WeightStore()
        self.programs: dict[int, LoadedProgram] = {}
        self.segments: dict[str, LiveSegment] = {}  # by digest
        self._quantum_us = quantum_us
        self._changing = threading.Lock()

    def load(self, request: engine_pb2.LoadProgram) -> int:
        """Make a program ready; the microseconds it took. Raises ValueError and its kin when
        the model cannot be read or run; nothing has changed then."""
        start = time.monotonic()
        loaded = LoadedProgram.read(request)
        with self._changing:
            if request.program_id in self.programs:
                raise ValueError(f"program {request.program_id} is loaded already")
            try:
                self._change({**self.programs, request.program_id: loaded})
            except BaseException:
                self.weights.release(request.program_id)
                raise
        loaded.model.weights.file.drop()
        self.weights.drop_pages()
        self._drop_retired()
        return int((time.monotonic() - start) * 1e6)

    def unload(self, program_id: int) -> None:
        """Refuse new requests, wait for those in flight, give the memory back. Raises KeyError
        when the program is not loaded."""
        with self._changing:
            loaded = self.programs.get(program_id)
            if loaded is None:
                raise KeyError(f"program {program_id} is not loaded")
            self.engine.remove_program(program_id)
        if loaded.core is not None:
            self.engine.wait_idle(loaded.core)
        del loaded
        with self._changing:
            self.weights.release(program_id)
            self._change({i: p for i, p in self.programs.items() if i != program_id})
        gc.collect()
        self._drop_retired()
        self.engine.trim()
        _return_free_memory()

    def _change(self, programs: dict[int, LoadedProgram]) -> None:
        """Plan anew and switch to the new plan; all or nothing."""
        planned = plan((program.facts for program in programs.values()), self._quantum_us)
        segments = self._make_segments(programs, planned)
        changed: list[tuple[LoadedProgram, tuple[LiveSegment, ...], _core.Program]] = []
        for program_id, program in programs.items():
            mine = tuple(segments[segment.digest] for segment in planned[program_id])
            if program.core is None or mine != program.segments:
                changed.append((program, mine, program.make_program(mine, program.core)))
        for program, mine, core in changed:
            program.core, program.segments = core, mine
            self.engine.add_program(core)
        self.programs, self.segments = programs, segments

    def _make_segments(
        self, programs: dict[int, LoadedProgram], planned: Plan
    ) -> dict[str, LiveSegment]:
        known_us = self._measured_us()
        segments: dict[str, LiveSegment] = {}
        for program_id, mine in planned.items():
            for one in mine:
                live = segments.get(one.digest) or self.segments.get(one.digest)
                if live is None:
                    live = programs[program_id].make_segment(
                        one, self.engine, self.weights, known_us
                    )
                live.planned = one  # the sharers may be others now
                segments[one.digest] = live
                if one.native:
                    self._use_weights(programs[program_id], one.layers)
        return segments

    def _use_weights(self, program: LoadedProgram, layers: tuple[bytes, ...]) -> None:
        """Count the program among the users of its layers' constants."""
        tensors = program.model.program.tensors
        for key in layers:
            for i in program.model.program.layers[program.layer_at[key]].inputs:
                if i != -1 and tensors[i].constant:
                    self.weights.constant(program.facts.id, program.model, i)

    def _measured_us(self) -> dict[bytes, float]:
        known: dict[bytes, float] = {}
        for segment in self.segments.values():
            stats = self.engine.segment_stats(segment.core)
            if stats.runs > 0:
                known.update(zip(segment.step_layers, stats.step_us, strict=True))
        return known

    def _drop_retired(self) -> None:
        """Let go of old plans once the requests on them have finished."""
        until = time.monotonic() + _DRAIN_S
        while self.engine.drop_retired() > 0 and time.monotonic() < until:
            time.sleep(0.002)


def _return_free_memory() -> None:
    """Have the C library give freed memory back to the operating system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
