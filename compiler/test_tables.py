import pytest

from coexec.compiler.describe import Description
from coexec.compiler.tables import summary


@pytest.mark.parametrize(
    ("flops", "arena", "text"),
    [
        (0, 0, "0 flop; arena 0 B,"),
        (19_712, 999, "19.7 kflop; arena 999 B,"),
        (8_200_000_000, 1_234_567, "8.2 Gflop; arena 1.23 MB,"),
        (1_500_000_000_000, 0, "1500 Gflop; arena 0 B,"),
    ],
)
def test_amounts_are_in_units_that_show_them(flops: int, arena: int, text: str) -> None:
    description = Description("net", flops=flops, arena_bytes=arena)
    assert text in summary(description)
