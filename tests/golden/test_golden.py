"""Compiled models of released versions: they must load, and answer as they did, for ever."""

from pathlib import Path

import numpy as np
import pytest

from coexec.kernels.program import format
from coexec.kernels.program.runner import Runner

VERSIONS = sorted(path.parent for path in Path(__file__).parent.glob("*/case.npz"))


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda path: path.name)
def test_an_old_model_loads_and_answers(folder: Path) -> None:
    model = format.load(folder / "golden.coexec")
    with np.load(folder / "case.npz") as case:
        got = Runner(model).run({"x": case["x"]})["y"]
        np.testing.assert_allclose(got, case["y"], rtol=1e-4, atol=1e-5)


def test_there_is_a_model_for_every_format_version() -> None:
    versions = {
        format.read_envelope(folder / "golden.coexec" / "program.pb").format_version
        for folder in VERSIONS
    }
    assert versions == set(range(1, format.FORMAT_VERSION + 1))
