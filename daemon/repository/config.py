"""The configuration of a model: derived from its signature, overlaid by what its owner wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from google.protobuf import json_format, text_format

from coexec.compiler.errors import did_you_mean
from coexec.compiler.signature import Signature, TensorSpec
from coexec.daemon.datatypes import BY_CONFIG, BY_DTYPE
from coexec.daemon.errors import RequestError, invalid, unsupported
from coexec.daemon.repository.layout import CONFIG_FILE
from coexec.protos import model_config_pb2 as config_pb

_CONFIG_BYTES_MAX = 1 << 20
_DIGITS_MAX = 18  # the engine counts in 64 bits
COMPILE_OPTIONS = ("prune", "tune")
_PARAMETERS = (*COMPILE_OPTIONS, "objective_us", "hang_seconds")

T = TypeVar("T", config_pb.ModelInput, config_pb.ModelOutput)


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """What a configuration says about serving."""

    max_batch: int = 0  # 0: the model has no batch dim of its own
    objective_us: int = 0  # 0: none
    queue_len_max: int = 0  # 0: the engine's default
    timeout_us: int = 0  # for requests that bring none; 0: none
    hang_us: int | None = None  # how long a step may run; 0: for ever; None: the daemon's limit


def read_config_file(name: str, folder: Path) -> config_pb.ModelConfig | None:
    """The folder's config.pbtxt; None without one. Raises RequestError when it cannot be read."""
    path = folder / CONFIG_FILE
    if not path.exists():
        return None
    if path.stat().st_size > _CONFIG_BYTES_MAX:
        raise invalid(
            f"failed to load '{name}': {CONFIG_FILE} has more than {_CONFIG_BYTES_MAX} bytes"
        )
    try:
        config = text_format.Parse(path.read_text(), config_pb.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid(f"failed to load '{name}': {CONFIG_FILE}: {error}") from None
    return _checked(name, config)


def parse_json_config(name: str, text: str) -> config_pb.ModelConfig:
    """The `config` parameter of a load request. Raises RequestError."""
    try:
        config = json_format.Parse(text, config_pb.ModelConfig())
    except json_format.ParseError as error:
        raise invalid(f"failed to load '{name}': parameter 'config': {error}") from None
    return _checked(name, config)


def _checked(name: str, config: config_pb.ModelConfig) -> config_pb.ModelConfig:
    if config.name and config.name != name:
        raise invalid(
            f"failed to load '{name}': its configuration is for '{config.name}'; the name must be "
            "the folder's, or left out"
        )
    scheduling = config.WhichOneof("scheduling_choice")
    if scheduling in ("sequence_batching", "ensemble_scheduling"):
        raise unsupported(f"failed to load '{name}': {scheduling} is not served")
    if config.model_transaction_policy.decoupled:
        raise unsupported(f"failed to load '{name}': decoupled models are not served")
    if config.max_batch_size < 0:
        raise invalid(f"failed to load '{name}': max_batch_size is {config.max_batch_size}")
    for key in sorted(config.parameters.keys() - set(_PARAMETERS)):
        # Parameters of other servers may stand beside ours; what looks like ours misspelt may not.
        if near := did_you_mean(key, _PARAMETERS):
            raise invalid(
                f"failed to load '{name}': parameter '{key}' is not known{near}; known are "
                f"{', '.join(_PARAMETERS)}"
            )
    return config


def compile_options(config: config_pb.ModelConfig | None) -> dict[str, str]:
    if config is None:
        return {}
    given = config.parameters
    return {key: given[key].string_value for key in COMPILE_OPTIONS if key in given}


def serving_options(name: str, config: config_pb.ModelConfig) -> ServingOptions:
    policy = config.dynamic_batching.default_queue_policy
    hang_seconds = _whole(name, config, "hang_seconds")
    return ServingOptions(
        max_batch=config.max_batch_size,
        objective_us=_whole(name, config, "objective_us") or 0,
        queue_len_max=policy.max_queue_size,
        timeout_us=policy.default_timeout_microseconds,
        hang_us=None if hang_seconds is None else hang_seconds * 1_000_000,
    )


def _whole(name: str, config: config_pb.ModelConfig, key: str) -> int | None:
    """A parameter that is a whole number; None without it. Raises RequestError."""
    if key not in config.parameters:
        return None
    text = config.parameters[key].string_value
    if not text.isdecimal() or len(text) > _DIGITS_MAX:
        raise invalid(
            f"failed to load '{name}': parameter {key} is '{text}'; a whole number of at most "
            f"{_DIGITS_MAX} digits fits"
        )
    return int(text)


def complete_config(
    name: str, signature: Signature, given: config_pb.ModelConfig | None
) -> config_pb.ModelConfig:
    """`given` with everything it leaves out taken from the model. Raises RequestError where it
    contradicts the model."""
    config = config_pb.ModelConfig()
    if given is not None:
        config.CopyFrom(given)
    config.name = name
    config.platform = config.platform or "coexec"
    config.backend = config.backend or "coexec"
    if config.version_policy.WhichOneof("policy_choice") is None:
        config.version_policy.latest.num_versions = 1
    batched = config.max_batch_size > 0
    inputs = _merge(name, signature.inputs, list(config.input), config_pb.ModelInput, batched)
    outputs = _merge(name, signature.outputs, list(config.output), config_pb.ModelOutput, batched)
    del config.input[:]
    del config.output[:]
    config.input.extend(inputs)
    config.output.extend(outputs)
    return config


def _merge(
    name: str, specs: Sequence[TensorSpec], given: Sequence[T], make: type[T], batched: bool
) -> list[T]:
    """One entry per tensor of the model, in its order."""
    kind = "input" if make is config_pb.ModelInput else "output"
    by_name = {entry.name: entry for entry in given}
    known = [spec.name for spec in specs]
    for unknown in sorted(by_name.keys() - set(known)):
        raise invalid(
            f"failed to load '{name}': its configuration has the {kind} '{unknown}'; the model "
            f"has {', '.join(known)}"
        )
    merged = []
    for spec in specs:
        entry = by_name.get(spec.name) or make(name=spec.name)
        _complete_tensor(name, kind, spec, entry, batched)
        merged.append(entry)
    return merged


def _complete_tensor(
    name: str,
    kind: str,
    spec: TensorSpec,
    entry: config_pb.ModelInput | config_pb.ModelOutput,
    batched: bool,
) -> None:
    if spec.dtype not in BY_DTYPE:
        raise unsupported(
            f"failed to load '{name}': {kind} '{spec.name}' is a {spec.dtype}; the protocol "
            "carries tensors only"
        )
    own = BY_DTYPE[spec.dtype]
    if entry.data_type not in (config_pb.TYPE_INVALID, own.config):
        raise _contradiction(name, kind, spec, f"is {BY_CONFIG[entry.data_type].wire}")
    entry.data_type = own.config
    if entry.HasField("reshape"):
        raise unsupported(f"failed to load '{name}': {kind} '{spec.name}': reshape is not served")
    shape = (-1,) if spec.shape is None else spec.shape
    if batched and shape[:1] != (-1,):
        raise _contradiction(name, kind, spec, "is batched, as max_batch_size is above 0;")
    own_dims = shape[1:] if batched else shape
    if not entry.dims:
        entry.dims.extend(own_dims)
    fits = len(entry.dims) == len(own_dims) and all(
        -1 in (want, have) or want == have for want, have in zip(entry.dims, own_dims, strict=False)
    )
    if not fits and spec.shape is not None:
        raise _contradiction(name, kind, spec, f"has the dims {list(entry.dims)};")


def _contradiction(name: str, kind: str, spec: TensorSpec, given: str) -> RequestError:
    return invalid(
        f"failed to load '{name}': in its configuration {kind} '{spec.name}' {given} the model "
        f"has {spec}"
    )
