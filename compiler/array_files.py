"""Arrays from the files that np.save and np.savez write."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array


def read_array(path: Path, name: str) -> Array:
    """The array of a .npy file; of an .npz file the one of that name, or the only one. Raises
    CompileError when there is none."""
    with _opened(path, ".npy or .npz", "a .npy or .npz file") as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            return np.asarray(file)
        if name in file.files or len(file.files) == 1:
            return np.asarray(file[name if name in file.files else file.files[0]])
        held = ", ".join(map(repr, sorted(file.files))) or "none"
        raise CompileError(f"{path}: has no array named {name!r}; it has {held}")


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file, by name. Raises CompileError when it is none."""
    with _opened(path, ".npz", "an .npz file with an array per input") as file:
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise CompileError(
                f"{path}: holds one array without a name; write an .npz file with "
                "np.savez(FILE, INPUT=examples), an array per input"
            )
        return {name: file[name] for name in file.files}


@contextmanager
def _opened(path: Path, kinds: str, wanted: str) -> Iterator[Any]:
    try:
        with path.open("rb") as stream:
            yield np.load(stream, allow_pickle=False)
    except CompileError:
        raise
    except FileNotFoundError:
        raise CompileError(f"{path}: no such file; give {wanted}") from None
    except OSError as error:
        raise CompileError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, BadZipFile, zlib.error):
        raise CompileError(
            f"{path}: not a readable {kinds} file of numbers, as np.save and np.savez write them"
        ) from None
