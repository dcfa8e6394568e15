"""The rules of `--prune` and the words for those that are wrong."""

from __future__ import annotations

import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.prune import PruneRule, parse_rule
from coexec.compiler.prune.rule import parse_density, parse_latency, refuse_open_rates


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("bcr=0.9", PruneRule("bcr", 0.9)),
        ("pattern=0.8765", PruneRule("pattern", 0.8765)),
        ("conv*:kgs=0.667", PruneRule("kgs", 0.667, "conv*")),
        ("nm=0.75", PruneRule("nm", 0.75)),
        ("unstructured=0", PruneRule("unstructured", 0.0)),
        ("layer/glob*:bcr=0.8", PruneRule("bcr", 0.8, "layer/glob*")),
        ("a:b:bcr=.5", PruneRule("bcr", 0.5, "a:b")),
        ("head/*:dense", PruneRule("dense", 0.0, "head/*")),
        ("bcr=0.9@8x64", PruneRule("bcr", 0.9, block=(8, 64))),
        ("unstructured", PruneRule("unstructured", None)),
        ("block=0.9", PruneRule("block", 0.9, block=(16, 32))),
        ("block=0.9@32x64", PruneRule("block", 0.9, block=(32, 64))),
        ("block", PruneRule("block", None, block=(16, 32))),
    ],
)
def test_rules_are_read_and_written(text: str, rule: PruneRule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no scheme ''"),
        ("0.9", "no scheme '0.9', there are bcr, block, unstructured, pattern, kgs, nm, dense"),
        ("pattern=0.5", "pattern keeps 4 of 9 taps at most: the rate is from 0.556, got '0.5'"),
        ("pattern", "pattern takes a rate"),
        ("nm=0.9", "nm keeps two of every four weights (nm=0.5) or one (nm=0.75), got '0.9'"),
        ("nm", "nm takes a rate, as in nm=0.5"),
        ("bcr=0.9@8", "a block is ROWSxCOLUMNS, as in bcr=0.9@8x64; got '8'"),
        ("bcr=0.9@0x8", "a block is ROWSxCOLUMNS"),
        ("unstructured=0.9@8x8", "only bcr and block have blocks"),
        ("bcr=", "from 0 to below 1, got ''"),
        ("bcr=nan", "got 'nan'"),
        ("bcr=1", "got '1'"),
        ("bcr=90%", "got '90%'"),
        ("bcr=-0.1", "got '-0.1'"),
        ("blocks=0.5", "no scheme 'blocks'"),
        (":bcr=0.5", "no layers before the colon"),
        ("x:dense=0.5", "dense takes no rate"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse_rule(text)
    assert words in str(caught.value)
    assert f"--prune {text!r}" in str(caught.value)


def test_a_rule_for_all_names_no_layer() -> None:
    assert not parse_rule("bcr=0.9").names("")
    assert parse_rule("*conv*:bcr=0.9").names("/stem/conv_1")
    assert not parse_rule("conv:bcr=0.9").names("Conv")
    assert parse_rule("lstm.r:bcr=0.9").names("lstm", "lstm.r")


@pytest.mark.parametrize(
    ("text", "matrix", "one_tap", "square", "volume"),
    [
        ("bcr=0.5", True, True, True, True),
        ("unstructured=0.5", True, True, True, True),
        ("nm=0.5", True, False, False, False),
        ("pattern=0.9", False, False, True, False),
        ("kgs=0.5", False, False, True, True),
    ],
)
def test_what_a_scheme_fits(
    text: str, matrix: bool, one_tap: bool, square: bool, volume: bool
) -> None:
    rule = parse_rule(text)
    assert (not rule.why_not("Gemm", (8, 8))) == (not rule.why_not("LSTM", (1, 8, 8))) == matrix
    assert (not rule.why_not("Conv", (8, 8, 1, 1))) == one_tap
    assert (not rule.why_not("Conv", (8, 8, 3, 3))) == square
    assert (not rule.why_not("Conv", (8, 8, 3, 3, 3))) == volume


def test_a_rate_may_be_left_to_a_target() -> None:
    rule = parse_rule("body/*:bcr")
    assert (rule.rate, str(rule)) == (None, "body/*:bcr")
    with pytest.raises(CompileError, match=r"'body/\*:bcr': no rate; write .* or give --target-"):
        refuse_open_rates([parse_rule("dense"), rule])
    refuse_open_rates([parse_rule("bcr=0.5"), parse_rule("dense")])


def test_targets_have_units() -> None:
    assert parse_latency("5ms") == 5000.0
    assert parse_latency("800us") == 800.0
    assert parse_density("0.1") == 0.1
    for text in ("5", "5s", "ms", "-1ms", "0us", "infms"):
        with pytest.raises(CompileError, match="write it with its unit"):
            parse_latency(text)
    for text in ("0", "1.1", "x", "nan"):
        with pytest.raises(CompileError, match="share of weights to keep"):
            parse_density(text)
