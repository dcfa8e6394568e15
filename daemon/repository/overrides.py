"""Models that came with a load request instead of a repository: its `config` and `file:`
parameters."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from coexec.daemon.errors import RequestError, invalid
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


def write_override(folder: Path, override: Override) -> None:
    """Make `folder` hold the override's files and no other; without files, no folder."""
    remove_override(folder)
    if not override.files:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    for path, data in override.files.items():
        target = building / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    building.rename(folder)


def remove_override(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
