"""Arrays read from files."""

from pathlib import Path

import numpy as np
import pytest

from coexec.compiler.array_files import read_array
from coexec.compiler.errors import CompileError


def test_the_array_of_a_file_is_the_only_one_or_the_one_of_that_name(tmp_path: Path) -> None:
    one, two = np.arange(3), np.ones(2)
    np.save(tmp_path / "a.npy", one)
    np.savez(tmp_path / "only.npz", other=one)
    np.savez(tmp_path / "both.npz", x=one, y=two)
    for file, name, want in (("a.npy", "x", one), ("only.npz", "x", one), ("both.npz", "y", two)):
        np.testing.assert_array_equal(read_array(tmp_path / file, name), want)
    with pytest.raises(CompileError, match=r"both\.npz: has no array named 'z'; it has 'x', 'y'"):
        read_array(tmp_path / "both.npz", "z")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"1 2 3")
    with pytest.raises(CompileError, match=r"a\.npy: not a readable \.npy or \.npz file"):
        read_array(tmp_path / "a.npy", "x")
    with pytest.raises(CompileError, match=r"absent: no such file; give a \.npy or \.npz file"):
        read_array(tmp_path / "absent", "x")
