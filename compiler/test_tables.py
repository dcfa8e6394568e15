import pytest

from coexec.compiler.describe import Description, LayerDescription
from coexec.compiler.tables import layer_table, summary


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


def _foreign(why: str) -> Description:
    row = LayerDescription("OnnxRuntime", "all", [1], "f32", "dense", 1.0, "", 5, 0.0, False, why)
    return Description("net", [row], flops=5)


def test_a_reason_that_many_layers_share_is_one_line() -> None:
    many = [f"l{i} (Conv): it is faster" for i in range(86)]
    _, _, first, second, last = layer_table(
        _foreign("\n".join([*many, "tan (Tan): no kernel", "no layer has one"]))
    ).splitlines()
    assert first == "    not native: l0 (Conv), l1 (Conv), l2 (Conv) and 83 more: it is faster"
    assert second == "    not native: tan (Tan): no kernel"
    assert last == "    not native: no layer has one"


def test_what_was_not_measured_is_said() -> None:
    assert summary(_foreign("")).endswith(
        "; not measured, since it does not run on made-up inputs (`coexec bench --input`)"
    )
    assert layer_table(_foreign("")).splitlines()[1].endswith("  -")
