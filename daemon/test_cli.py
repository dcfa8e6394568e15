import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coexec.daemon.cli import COMMANDS, main, make_parser


def _commands(parser: argparse.ArgumentParser) -> set[str]:
    (action,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return set(action.choices)


def test_every_command_is_there() -> None:
    named = {command for commands in COMMANDS.values() for command in commands}
    assert _commands(make_parser()) == named


@pytest.mark.parametrize("module", COMMANDS)
def test_a_folder_brings_what_it_is_named_for(module: str) -> None:
    for command in COMMANDS[module]:
        assert _commands(make_parser(command)) == set(COMMANDS[module])


def test_a_commands_status_is_the_exit_status(tmp_path: Path) -> None:
    assert main(["serve", "--config", str(tmp_path / "none.toml")]) == 1
    for arguments, status in ((["nonsense"], 2), ([], 2), (["serve", "--help"], 0)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == status


def test_a_command_may_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("coexec.clients.cli._connected", interrupted)
    assert main(["models"]) == 130


def _with_unknown_isa(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coexec.daemon", *arguments],
        env={**os.environ, "COEXEC_ISA": "avx9"},
        capture_output=True,
        text=True,
    )


def test_an_unknown_instruction_set_is_refused_in_one_line() -> None:
    done = _with_unknown_isa("inspect", "m.coexec")
    assert done.returncode == 1
    assert done.stderr.startswith("coexec: COEXEC_ISA=avx9: expected one of ref, ")
    assert len(done.stderr.splitlines()) == 1


def test_commands_without_kernels_ask_for_no_instruction_set(tmp_path: Path) -> None:
    done = _with_unknown_isa("models", "--address", f"unix:{tmp_path}/none")
    assert done.returncode == 1
    assert "COEXEC_ISA" not in done.stderr
