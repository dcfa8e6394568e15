from hypothesis import given
from hypothesis import strategies as st

from coexec.kernels.program.arena import Lifetime, plan_arena

lifetimes = st.builds(
    lambda nbytes, first, length: Lifetime(nbytes, first, first + length),
    st.integers(0, 1000),
    st.integers(0, 20),
    st.integers(0, 10),
)


@given(st.lists(lifetimes, max_size=30))
def test_tensors_alive_together_never_overlap(tensors: list[Lifetime]) -> None:
    offsets, total = plan_arena(tensors)
    for i, a in enumerate(tensors):
        assert offsets[i] % 64 == 0
        assert offsets[i] + a.nbytes <= total
        for k, b in enumerate(tensors[:i]):
            if a.first <= b.last and b.first <= a.last and a.nbytes and b.nbytes:
                assert offsets[i] + a.nbytes <= offsets[k] or offsets[k] + b.nbytes <= offsets[i]


def test_memory_is_used_again_once_free() -> None:
    chain = [Lifetime(640, i, i + 1) for i in range(10)]
    assert plan_arena(chain)[1] == 2 * 640
