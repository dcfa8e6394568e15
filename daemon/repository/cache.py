"""Compiled models on disk, found by the content they were compiled from.

STATE/compiled/KEY/ holds one compiled model (model.coexec) and what it takes and gives. An entry
appears complete or not at all; those used longest ago go when there are too many bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def content_digest(file: Path) -> str:
    """Of a model file together with everything beside it, since an ONNX file may keep its
    weights in its neighbours."""
    digest = hashlib.sha256(f"{file.name}\0".encode())
    folder = file if file.is_dir() else file.parent
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def entry_key(
    content: str,
    compiler: str,
    options: Mapping[str, str],
    shapes: Mapping[str, Sequence[int]],
) -> str:
    """compiler: its version, and what it compiles for."""
    given = sorted((name, list(shape)) for name, shape in shapes.items())
    parts = [content, compiler, sorted(options.items()), given]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class CompiledCache:
    """One daemon owns the folder."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self.folder = folder
        self._bytes_max = bytes_max
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".building-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def find(self, key: str) -> Path | None:
        """The entry's folder, or None. A found entry counts as used now."""
        path = self.folder / key
        if not path.is_dir():
            return None
        os.utime(path)
        return path

    def building(self) -> Path:
        """A new folder to compile into; hand it to `keep` or `discard`."""
        return Path(tempfile.mkdtemp(prefix=".building-", dir=self.folder))

    def keep(self, key: str, built: Path) -> Path:
        """Make the folder `built` the entry `key`. If another came first, that one stays."""
        path = self.folder / key
        if path.is_dir():
            self.discard(built)
        else:
            built.rename(path)
        return path

    def discard(self, built: Path) -> None:
        shutil.rmtree(built, ignore_errors=True)

    def prune(self, in_use: Container[Path]) -> int:
        """Remove the entries used longest ago until the rest fit, but none in use. Returns how
        many went."""
        entries = [path for path in self.folder.iterdir() if not path.name.startswith(".")]
        sizes = {path: _folder_bytes(path) for path in entries}
        total = sum(sizes.values())
        removed = 0
        for path in sorted(entries, key=_last_used):
            if total <= self._bytes_max:
                break
            if path not in in_use:
                shutil.rmtree(path, ignore_errors=True)
                total -= sizes[path]
                removed += 1
        return removed


def _last_used(path: Path) -> float:
    return path.stat().st_mtime


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
