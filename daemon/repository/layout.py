"""Models in folders, the way Triton lays them out: NAME/VERSION/model.onnx or
NAME/VERSION/model.coexec, and an optional NAME/config.pbtxt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from coexec.compiler.errors import did_you_mean, some_of
from coexec.daemon.errors import RequestError, invalid, not_found
from coexec.protos import model_config_pb2 as config_pb

CONFIG_FILE = "config.pbtxt"
_MODEL_FILES = ("model.coexec", "model.onnx")
NAME_LENGTH_MAX = 255


def check_name(name: str) -> str:
    """The name of a model, which is also a folder's. Raises RequestError for one that would
    leave the repository."""
    bad = (
        not name
        or name.startswith(".")
        or len(name.encode()) > NAME_LENGTH_MAX
        or any(c in "/\\" or ord(c) < 32 for c in name)
    )
    if bad:
        raise invalid(
            f"'{name}' cannot be a model's name: it must be 1 to {NAME_LENGTH_MAX} bytes "
            "without '/', and must not start with '.'"
        )
    return name


@dataclass(frozen=True, slots=True)
class VersionSource:
    """One version on disk. file: an .onnx file or a .coexec folder."""

    version: int
    file: Path


def model_folders(repositories: Iterable[Path]) -> dict[str, Path]:
    """Every model's folder by name; the first repository that has a name wins."""
    folders: dict[str, Path] = {}
    for repository in repositories:
        for folder in sorted(repository.iterdir()) if repository.is_dir() else ():
            if folder.is_dir() and not folder.name.startswith("."):
                folders.setdefault(folder.name, folder)
    return folders


def find_versions(
    name: str, folder: Path, config: config_pb.ModelConfig | None
) -> list[VersionSource]:
    """The versions in `folder` that the model's version policy asks for, oldest first. Raises
    RequestError when there is none, or one does not have just one model file."""
    present = sorted(
        int(child.name)
        for child in folder.iterdir()
        if child.is_dir() and child.name.isdecimal() and child.name == str(int(child.name))
    )
    chosen = _apply_policy(present, config)
    if not chosen:
        raise not_found(
            f"failed to load '{name}', no version is available: {folder.name}/ holds the versions "
            f"{present or 'none'}; a version is a folder named by a number"
        )
    file_name = config.default_model_filename if config is not None else ""
    return [VersionSource(v, _model_file(name, folder / str(v), file_name)) for v in chosen]


def _apply_policy(present: Sequence[int], config: config_pb.ModelConfig | None) -> list[int]:
    policy = config.version_policy if config is not None else config_pb.ModelVersionPolicy()
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return list(present)
    if choice == "specific":
        return [version for version in present if version in policy.specific.versions]
    count = policy.latest.num_versions if choice == "latest" else 1
    return list(present[-count:]) if count else []


def _model_file(name: str, folder: Path, file_name: str) -> Path:
    if file_name:
        return _named_file(name, folder, file_name)
    found = [file for file in _MODEL_FILES if (folder / file).exists()]
    if len(found) > 1:
        raise invalid(
            f"failed to load '{name}', version {folder.name} has several models: "
            f"{' and '.join(found)}; remove all but one, or name one as default_model_filename in "
            f"{CONFIG_FILE}"
        )
    if found:
        return folder / found[0]
    raise invalid(
        f"failed to load '{name}', version {folder.name} has no model: expected "
        f"{folder.name}/{' or '.join(_MODEL_FILES)}"
    )


def _named_file(name: str, folder: Path, file_name: str) -> Path:
    if Path(file_name).name != file_name or Path(file_name).suffix not in (".onnx", ".coexec"):
        raise invalid(
            f"failed to load '{name}': default_model_filename '{file_name}' must name an .onnx "
            "file or a .coexec folder inside the version's folder"
        )
    if not (folder / file_name).exists():
        raise invalid(f"failed to load '{name}', version {folder.name} has no {file_name}")
    return folder / file_name


def parse_version(name: str, version: str) -> int | None:
    """A request's model_version; None asks for the newest. Raises RequestError."""
    if not version:
        return None
    if not version.isdecimal() or len(version) > 18:
        raise invalid(f"'{version}' is no version of model '{name}'; versions are whole numbers")
    return int(version)


def unknown_model(name: str, known: Collection[str]) -> RequestError:
    return not_found(f"Request for unknown model: '{name}' is not found{others(name, known)}")


def others(name: str, known: Collection[str]) -> str:
    """The end of a message about a model that is not there: which one is meant, or what is."""
    return did_you_mean(name, known) or f"; there are {some_of(known) or 'none'}"


def unknown_version(name: str, version: int, loaded: Iterable[int]) -> RequestError:
    there = ", ".join(map(str, sorted(loaded)))
    return not_found(
        f"Request for unknown model: '{name}' version {version} is not found; loaded: {there}"
    )
