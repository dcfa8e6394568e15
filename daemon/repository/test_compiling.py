from pathlib import Path

import pytest

from coexec.compiler.apart import Limits
from coexec.daemon.repository.compiling import Compiler
from coexec.kernels import _kernels


def test_a_model_compiled_for_fewer_instructions_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = Compiler(Limits(), tmp_path)
    before = compiler.identity("")
    assert compiler.identity("") == before
    monkeypatch.setattr(_kernels, "host_isa", lambda: "another")
    assert compiler.identity("") != before
