"""The rules of `--prune` and the words for those that are wrong."""

from __future__ import annotations

import pytest

from coexec.compiler.errors import CompileError
from coexec.compiler.prune import PruneRule, parse_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("bcr=0.9", PruneRule("bcr", 0.9)),
        ("unstructured=0", PruneRule("unstructured", 0.0)),
        ("layer/glob*:bcr=0.8", PruneRule("bcr", 0.8, "layer/glob*")),
        ("a:b:bcr=.5", PruneRule("bcr", 0.5, "a:b")),
        ("head/*:dense", PruneRule("dense", 0.0, "head/*")),
    ],
)
def test_rules_are_read_and_written(text: str, rule: PruneRule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no scheme ''"),
        ("0.9", "no scheme '0.9', there are bcr, unstructured, dense; write SCHEME=RATE"),
        ("bcr", "no rate; write SCHEME=RATE, as in bcr=0.9"),
        ("bcr=", "from 0 to below 1, got ''"),
        ("bcr=nan", "got 'nan'"),
        ("bcr=1", "got '1'"),
        ("bcr=90%", "got '90%'"),
        ("bcr=-0.1", "got '-0.1'"),
        ("block=0.5", "no scheme 'block'"),
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
