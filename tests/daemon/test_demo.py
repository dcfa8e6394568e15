"""`coexec demo` from end to end, briefly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coexec.daemon.cli import main
from coexec.daemon.demo.serve import DemoError, ServedDaemon
from coexec.kernels import _kernels


@pytest.mark.skipif(
    _kernels.host_isa() == "ref", reason="a frame takes the reference longer than the demo lasts"
)
def test_the_demo_answers_rightly_and_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A slow machine may miss deadlines here; it may not answer wrongly.
    status = main(["demo", "--seconds", "1.5", "--output", str(tmp_path), "--json"])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    facts = json.loads(printed.out)
    assert facts == json.loads((tmp_path / "report.json").read_text())
    assert facts["wrong"] == []
    assert facts["transport"] == "shared_memory"
    assert facts["work_saved_us"] > 0
    assert facts["weight_bytes"] < facts["weight_bytes_alone"]
    assert [side["name"] for side in facts["sides"]] == ["coexec", "ONNX Runtime"]
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    for name in ("timeline.png", "sharing.png"):
        assert (tmp_path / name).stat().st_size > 5000
    assert "every answer is as it should be" in printed.err


def test_a_daemon_that_does_not_start_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(DemoError, match=r"ended at its start(.|\n)*no-such-option"),
        ServedDaemon(tmp_path, "--no-such-option"),
    ):
        pass
