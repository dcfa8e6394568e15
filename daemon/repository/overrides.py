"""Models that came with a load request instead of a repository: its `config` and `file:`
parameters."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from coexec.daemon.errors import RequestError, invalid
from coexec.daemon.state import StoredOverride
from coexec.protos import inference_pb2 as pb

_FILE_PREFIX = "file:"
FILES_MAX = 64


@dataclass(slots=True)
class Override:
    """config: JSON; None: the request brings nothing. files: by "VERSION/NAME"."""

    config: str | None = None
    files: dict[PurePosixPath, bytes] = field(default_factory=dict)

    @staticmethod
    def read(name: str, parameters: Mapping[str, pb.ModelRepositoryParameter]) -> Override:
        """Raises RequestError."""
        override = Override()
        for key, parameter in parameters.items():
            kind = parameter.WhichOneof("parameter_choice")
            if key == "config":
                if kind != "string_param":
                    raise _bad(name, "parameter 'config' must be JSON, as string_param")
                override.config = parameter.string_param
            elif key.startswith(_FILE_PREFIX):
                if kind != "bytes_param":
                    raise _bad(name, f"parameter '{key}' must be the file, as bytes_param")
                override.files[_path(name, key)] = parameter.bytes_param
            else:
                raise _bad(
                    name, f"parameter '{key}' is not known; known are 'config' and 'file:V/NAME'"
                )
        if override.files and override.config is None:
            raise _bad(name, "parameters 'file:' need the parameter 'config' beside them")
        if len(override.files) > FILES_MAX:
            raise _bad(name, f"{len(override.files)} files are given; at most {FILES_MAX}")
        return override


def _path(name: str, key: str) -> PurePosixPath:
    path = PurePosixPath(key.removeprefix(_FILE_PREFIX))
    ok = (
        len(path.parts) == 2
        and path.parts[0].isdecimal()
        and not path.parts[1].startswith(".")
        and "\0" not in path.parts[1]
    )
    if not ok:
        raise _bad(name, f"parameter '{key}' must be file:VERSION/NAME, as in file:1/model.onnx")
    return path


def _bad(name: str, text: str) -> RequestError:
    return invalid(f"failed to load '{name}': {text}")


def store_override(folder: Path, override: Override) -> StoredOverride:
    """Write the files into a new folder under `folder`."""
    if override.config is None:
        raise ValueError("there is nothing to store")
    if not override.files:
        return StoredOverride(override.config)
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="files-", dir=folder))
    for path, data in override.files.items():
        target = own / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    return StoredOverride(override.config, own.name)


def keep_only(folder: Path, wanted: StoredOverride | None) -> None:
    """Remove from `folder` the files of all overrides but the wanted one."""
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        if wanted is None or child.name != wanted.folder:
            shutil.rmtree(child, ignore_errors=True)
    if wanted is None or not wanted.folder:
        shutil.rmtree(folder, ignore_errors=True)
