"""The subcommands that talk to a running daemon."""

import argparse
import contextlib
import json
import math
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from .client import Client
from .codec import Array, decode, item_bytes
from .errors import CoexecError, UnavailableError, UnsupportedError
from .facts import facts, reuse_text, statistics_table, table, top_text, trace
from .model import ModelMetadata, Result
from .tls import Tls

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_Run = Callable[[Client, argparse.Namespace], None]
_POLL_S = 0.1
_COMING = ("READY", "LOADING", "UNKNOWN")  # states of models that may yet take requests
_INPUT_FORM = "write NAME=FILE.npy, NAME=FILE.npz or NAME=random"


def register(subparsers: "Subparsers") -> None:
    """Add models, load, unload, infer, stats, top, reuse and timeline.

    Each sets `run`, which takes the parsed options and returns the exit status.
    """
    models = _add(subparsers, "models", _models, "list the models", "coexec models --json")
    _add_json(models)
    load = _add(subparsers, "load", _load, "load a model", "coexec load detect --onnx detect.onnx")
    load.add_argument("model")
    load.add_argument(
        "--onnx", type=Path, metavar="FILE", help="send this model; else the repository's is loaded"
    )
    unload = _add(subparsers, "unload", _unload, "unload a model", "coexec unload detect")
    unload.add_argument("model")
    _add_infer(subparsers)
    stats = _add(subparsers, "stats", _stats, "counts and durations", "coexec stats detect")
    stats.add_argument("model", nargs="?", default="", help="all models if not given")
    _add_json(stats)
    top = _add(subparsers, "top", _top, "watch the daemon work", "coexec top --period 2")
    top.add_argument(
        "--period", type=_seconds, default=1.0, metavar="S", help="seconds (default: 1)"
    )
    top.add_argument(
        "--count", type=_whole, default=0, metavar="N", help="stop after N snapshots; 0: never"
    )
    reuse = _add(subparsers, "reuse", _reuse, "what models share", "coexec reuse --json")
    _add_json(reuse)
    timeline = _add(
        subparsers,
        "timeline",
        _timeline,
        "write what ran when, for chrome://tracing or ui.perfetto.dev",
        "coexec timeline --window 0.5 --output trace.json",
    )
    timeline.add_argument("--output", "-o", type=Path, required=True, metavar="FILE")
    timeline.add_argument(
        "--window",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="the last S seconds (default: all)",
    )


def _add_infer(subparsers: "Subparsers") -> None:
    infer = _add(
        subparsers,
        "infer",
        _infer,
        "run one model, or several on the same inputs",
        "coexec infer scene_classify scene_count --input image=frame.npy",
    )
    infer.add_argument("models", nargs="+", metavar="MODEL")
    infer.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE.npy|FILE.npz|random",
        help="of an .npz file, the array of that name or the only one; inputs not named are random",
    )
    infer.add_argument("--seed", type=_whole, default=0, help="of the random inputs (default: 0)")
    infer.add_argument(
        "--deadline-us", type=_whole, metavar="N", help="refuse if it takes longer; 0: as without"
    )
    infer.add_argument(
        "--wait",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="for the daemon to start and the models to be ready, as long as they may become so",
    )
    infer.add_argument("--save", type=Path, metavar="FILE.npz", help="write the outputs")
    _add_json(infer)


def _add(
    subparsers: "Subparsers", name: str, run: _Run, text: str, example: str
) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--address", metavar="ADDR", help="unix:PATH or HOST:PORT (default: the default socket)"
    )
    parser.add_argument(
        "--tls", action="store_true", help="for a daemon with TLS; implied by the options below"
    )
    parser.add_argument(
        "--tls-ca", metavar="FILE", help="PEM; what signed its certificate (default: gRPC's roots)"
    )
    parser.add_argument("--tls-certificate", metavar="FILE", help="PEM; one's own, with --tls-key")
    parser.add_argument("--tls-key", metavar="FILE", help="PEM")
    parser.set_defaults(run=lambda options: _connected(run, options))
    return parser


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 <= value < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, 0 or more")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, 0 or more")
    return int(text)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _connected(run: _Run, options: argparse.Namespace) -> int:
    """Run a command with a client; its exit status."""
    try:
        files = options.tls_ca, options.tls_certificate, options.tls_key
        tls = Tls(*files) if options.tls or any(files) else None
        with Client(options.address, tls=tls) as client:
            run(client, options)
    except (CoexecError, ValueError) as error:
        print(f"coexec: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # of a file that was named
        where = f"{error.filename}: " if error.filename else ""
        print(f"coexec: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _models(client: Client, options: argparse.Namespace) -> None:
    models = client.models()
    if options.json:
        print(json.dumps([vars(model) for model in models]))
    else:
        rows = [(m.name, m.version, m.state, m.reason) for m in models]
        print(table(("model", "version", "state", "reason"), rows))


def _load(client: Client, options: argparse.Namespace) -> None:
    onnx = options.onnx
    client.load(options.model, files={"1/model.onnx": onnx.read_bytes()} if onnx else None)
    print(f"{options.model} is loaded")


def _unload(client: Client, options: argparse.Namespace) -> None:
    client.unload(options.model)
    print(f"{options.model} is unloaded")


def _random(datatype: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    sides = [max(1, side) for side in shape]
    if datatype == "BYTES":
        return np.full(sides, b"coexec", object)
    if datatype.startswith("FP"):
        return rng.random(sides).astype(f"f{item_bytes(datatype)}")
    zeros = decode(datatype, sides, bytes(math.prod(sides) * (item_bytes(datatype) or 1)))
    return rng.integers(0, 2, sides).astype(zeros.dtype)


def _inputs(metadata: list[ModelMetadata], options: argparse.Namespace) -> dict[str, Array]:
    """What --input says, and random data of a fitting shape for the rest."""
    given: dict[str, str] = {}
    for text in options.input:
        name, separator, source = text.partition("=")
        if not separator:
            raise ValueError(f"--input {text!r}: {_INPUT_FORM}")
        given[name] = source
    wanted = {info.name: info for model in metadata for info in model.inputs}
    if unknown := given.keys() - wanted.keys():
        known = ", ".join(wanted)
        raise ValueError(f"no input is called {', '.join(sorted(unknown))}; there are {known}")
    rng = np.random.default_rng(options.seed)
    inputs: dict[str, Array] = {}
    for name, info in wanted.items():
        source = given.get(name, "random")
        if source == "random":
            inputs[name] = _random(info.datatype, info.shape, rng)
        else:
            inputs[name] = _loaded(name, source)
    return inputs


def _loaded(name: str, source: str) -> Array:
    """The array in a .npy file, or the one of that name, or the only one, in an .npz file."""
    try:
        with Path(source).open("rb") as stream:
            found = np.load(stream, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                return np.asarray(found)
            if name in found.files or len(found.files) == 1:
                return np.asarray(found[name if name in found.files else found.files[0]])
    except FileNotFoundError as error:
        raise ValueError(f"--input {name}={source}: no such file; {_INPUT_FORM}") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise ValueError(f"--input {name}={source}: {why}; {_INPUT_FORM}") from error
    except (ValueError, EOFError, BadZipFile, zlib.error) as error:
        why = "no readable .npy or .npz file of numbers, as np.save and np.savez write them"
        raise ValueError(f"--input {name}={source}: {why}") from error
    held = ", ".join(found.files) or "none"
    raise ValueError(f"--input {name}={source}: has no array named {name!r}; it has {held}")


def _wait_until_ready(client: Client, models: list[str], wait_s: float) -> None:
    """Returns when all are ready, when one cannot become so, and late; the call itself then says
    what is wrong."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        with contextlib.suppress(UnavailableError):  # the daemon may be starting
            waited_for = [model for model in models if not client.ready(model)]
            if not waited_for or _hopeless(client, waited_for):
                return
        time.sleep(min(_POLL_S, max(0.0, end - time.monotonic())))


def _hopeless(client: Client, models: list[str]) -> bool:
    """Whether one of these models will not become ready by itself. A daemon that is still
    loading what it holds may yet come to any of them."""
    if not client.ready():
        return False
    try:
        index = client.models()
    except UnsupportedError:  # a server without a repository: nobody can tell
        return False
    coming = {model.name for model in index if model.state in _COMING}
    return any(model not in coming for model in models)


def _infer(client: Client, options: argparse.Namespace) -> None:
    _wait_until_ready(client, options.models, options.wait)
    inputs = _inputs([client.metadata(model) for model in options.models], options)
    results: dict[str, Result] = {}
    if len(options.models) == 1:
        name = options.models[0]
        results[name] = client.infer(name, inputs, deadline_us=options.deadline_us)
    else:
        many = client.infer_many(options.models, inputs, deadline_us=options.deadline_us)
        for name, answer in many.items():
            if isinstance(answer, CoexecError):
                raise answer
            results[name] = answer
    if options.save:
        arrays: dict[str, Any] = {
            f"{name}.{output}": array
            for name, result in results.items()
            for output, array in result.items()
        }
        np.savez(options.save, **arrays)
    if options.json:
        print(json.dumps({name: _result_facts(result) for name, result in results.items()}))
        return
    for name, result in results.items():
        print(f"{name}/{result.version} by {result.transport}")
        for output, array in result.items():
            start = np.array2string(array.ravel()[:8], precision=4, separator=", ")
            print(f"  {output}: {array.dtype}{list(array.shape)} {start}")


def _result_facts(result: Result) -> dict[str, Any]:
    outputs = {
        name: {
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "values": [
                item.decode(errors="replace") if isinstance(item, bytes) else item
                for item in array.ravel().tolist()
            ],
        }
        for name, array in result.items()
    }
    return {"version": result.version, "transport": result.transport, "outputs": outputs}


def _stats(client: Client, options: argparse.Namespace) -> None:
    models = client.statistics(options.model)
    if options.json:
        print(json.dumps([facts(model) for model in models]))
    else:
        print(statistics_table(models))


def _top(client: Client, options: argparse.Namespace) -> None:
    before = None
    for count, now in enumerate(client.watch_statistics(options.period), 1):
        if sys.stdout.isatty():
            print("\x1b[H\x1b[2J", end="")
        print(top_text(now, before), flush=True)
        if count == options.count:
            return
        before = now


def _reuse(client: Client, options: argparse.Namespace) -> None:
    report = client.reuse_report()
    print(json.dumps(facts(report)) if options.json else reuse_text(report))


def _timeline(client: Client, options: argparse.Namespace) -> None:
    window = client.timeline(options.window)
    options.output.write_text(json.dumps(trace(window)))
    print(f"{len(window.spans)} steps written to {options.output}")
