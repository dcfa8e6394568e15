"""The planner on random families of programs."""

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from coexec.protos import program_pb2
from coexec.scheduler.reuse.facts import (
    LayerFacts,
    ProgramFacts,
    expected_us,
    facts_of,
    merge_equal_layers,
)
from coexec.scheduler.reuse.planner import PlannedSegment, plan


def _layer(name: str, reads: list[str], *, native: bool = True, cost_us: float = 10) -> LayerFacts:
    return LayerFacts(
        key=name.encode(),
        name=name,
        native=native,
        cost_us=cost_us,
        inputs=tuple(value.encode() for value in reads),
        outputs=(f"{name}.out".encode(),),
        output_bytes=(1000,),
    )


def _chain(program_id: int, *names: str, cost_us: float = 10) -> ProgramFacts:
    layers = []
    before = "x"
    for name in names:
        native = not name.startswith("ort")
        layers.append(_layer(name, [before], native=native, cost_us=cost_us))
        before = f"{name}.out"
    return ProgramFacts(program_id, (b"x",), (before.encode(),), tuple(layers))


def _names(segments: tuple[PlannedSegment, ...]) -> list[list[str]]:
    return [[key.decode() for key in segment.layers] for segment in segments]


def test_programs_part_where_their_layers_differ() -> None:
    plans = plan([_chain(1, "a", "b", "c"), _chain(2, "a", "b", "d")], 1000)
    assert _names(plans[1]) == [["a", "b"], ["c"]]
    assert _names(plans[2]) == [["a", "b"], ["d"]]
    assert plans[1][0] == plans[2][0]
    assert plans[1][0].sharers == (1, 2)
    assert plans[1][0].outputs == (b"b.out",)
    assert _names(plan([_chain(1, "a", "b", "c")], 1000)[1]) == [["a", "b", "c"]]


def test_what_one_program_needs_of_a_shared_segment_all_get() -> None:
    tap = ProgramFacts(2, (b"x",), (b"a.out", b"b.out"), _chain(2, "a", "b").layers)
    plans = plan([_chain(1, "a", "b", "c"), tap], 1000)
    assert plans[1][0].outputs == (b"a.out", b"b.out")
    assert plans[1][0] == plans[2][0]


def test_onnx_runtime_layers_stand_alone() -> None:
    plans = plan([_chain(1, "a", "ort1", "ort2", "b", "c")], 1000)
    assert _names(plans[1]) == [["a"], ["ort1"], ["ort2"], ["b", "c"]]
    assert [segment.native for segment in plans[1]] == [True, False, False, True]


def test_a_branch_around_onnx_runtime_makes_no_cycle() -> None:
    layers = (
        _layer("a", ["x"]),
        _layer("ort", ["a.out"], native=False),
        _layer("b", ["a.out"]),
        _layer("c", ["ort.out", "b.out"]),
    )
    plans = plan([ProgramFacts(1, (b"x",), (b"c.out",), layers)], 1000)
    assert _names(plans[1]) == [["a", "b"], ["ort"], ["c"]]


def test_a_long_run_is_cut_where_few_bytes_cross() -> None:
    layers = list(_chain(1, "a", "b", "c", "d", cost_us=600).layers)
    layers[1] = replace(layers[1], output_bytes=(1_000_000,))
    plans = plan([ProgramFacts(1, (b"x",), (b"d.out",), tuple(layers))], 1900)
    assert [segment for segment in _names(plans[1]) if "b" in segment and "c" in segment]
    assert len(plans[1]) == 2
    alone = plan([_chain(1, "a", "b", cost_us=5000)], 2000)
    assert _names(alone[1]) == [["a"], ["b"]]


@st.composite
def _families(draw: st.DrawFn) -> list[ProgramFacts]:
    """Programs that are random parts, closed towards the inputs, of one random graph."""
    count = draw(st.integers(1, 12))
    layers = []
    for i in range(count):
        reads = draw(st.lists(st.integers(-1, i - 1), min_size=1, max_size=3, unique=True))
        names = ["x" if r < 0 else f"n{r}.out" for r in reads]
        native = draw(st.booleans()) or draw(st.booleans())
        cost_us = draw(st.sampled_from([1.0, 300.0, 900.0]))
        layers.append((_layer(f"n{i}", names, native=native, cost_us=cost_us), reads))
    programs = []
    for program_id in draw(st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True)):
        roots = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3, unique=True))
        inside = set(roots)
        for i in range(count - 1, -1, -1):
            if i in inside:
                inside.update(r for r in layers[i][1] if r >= 0)
        mine = tuple(layers[i][0] for i in sorted(inside))
        outputs = tuple(f"n{i}.out".encode() for i in roots)
        programs.append(ProgramFacts(program_id, (b"x",), outputs, mine))
    return programs


@settings(deadline=None)
@given(_families(), st.integers(1, 1000), st.randoms(use_true_random=False))
def test_any_family(programs: list[ProgramFacts], quantum_us: int, order: random.Random) -> None:
    plans = plan(programs, quantum_us)
    by_digest: dict[str, PlannedSegment] = {}
    for program in programs:
        segments = plans[program.id]
        layers = {layer.key: layer for layer in program.layers}
        assert sorted(key for segment in segments for key in segment.layers) == sorted(layers)
        available = set(program.inputs)
        for segment in segments:
            assert by_digest.setdefault(segment.digest, segment) == segment
            assert program.id in segment.sharers
            assert segment.native or len(segment.layers) == 1
            inside = set(available)
            cost_us = 0.0
            for key in segment.layers:
                assert set(layers[key].inputs) <= inside, "a layer reads what is not there yet"
                inside.update(layers[key].outputs)
                cost_us += layers[key].cost_us
            assert cost_us <= quantum_us or len(segment.layers) == 1
            available.update(segment.outputs)
        assert set(program.outputs) <= available
    shuffled = list(programs)
    order.shuffle(shuffled)
    assert plan(shuffled, quantum_us) == plans


def test_equal_layers_of_one_program_are_merged() -> None:
    program = program_pb2.Program(inputs=[0], outputs=[3, 4])
    for name, digest in (("x", b"x"), ("a", b"a"), ("a2", b"a"), ("b", b"b"), ("b2", b"b")):
        kind = program_pb2.TensorType(dtype="f32", shape=[2])
        program.tensors.add(name=name, digest=digest, type=kind)
    for op, reads, makes in (("A", 0, 1), ("A", 0, 2), ("B", 1, 3), ("B", 2, 4)):
        program.layers.add(name=f"{op}{makes}", op=op, inputs=[reads], outputs=[makes])
    merge_equal_layers(program)
    assert [layer.name for layer in program.layers] == ["A1", "B3"]
    assert list(program.outputs) == [3, 3]
    facts = facts_of(1, program)
    assert facts.outputs == (b"b", b"b")
    assert facts.layers[1].inputs == (b"a",)


def test_costs_are_measured_or_guessed() -> None:
    assert expected_us(program_pb2.Layer(measured_us=7.5, flops=10**9)) == 7.5
    assert expected_us(program_pb2.Layer(flops=8_000_000)) == 1001.0
