"""Which layers of tuned networks are slower than their dense form, or than ONNX Runtime's.

    python -m bench.tuned_layers [--tune fast|full] [--only NAME] [--prune RULE] [--seconds S]
                                 [--folder DIR] [--json FILE [--add]]

The networks are those of bench/zoo, dense and pruned, each tuned here and now. Four questions,
each measured by turns in one stretch, wall time on one thread, medians:

* "run": does ONNX Runtime compute the layer faster inside its own run of the whole network? Its own
  profile says: there it fuses what follows, and keeps activations in blocks of channels from layer
  to layer; changing them is other nodes' time. So this is the least it ever takes, and what our
  kernel would have to reach: it judges kernels, not choices.
* "alone": is the layer faster in ONNX Runtime from our arrays and back? Then it reorders channels
  itself, as it must where only this layer is its own. Asked of what was slower in a "run".
* "given": is our network faster with this layer handed to ONNX Runtime? That is what the tuner can
  choose for one layer, and adds to "alone" what our side pays: activations that leave the arena,
  which stays in the caches, for new arrays. The layer is timed with its neighbours, each time after
  a run of the whole network: timed with all of that it would be lost in the noise. theirs: our
  layer's time with the difference of the two. Asked of what was slower "alone"; it judges the
  tuner. (Runs of several layers it weighs by itself.) Unclear is what looks slower, but not in
  three rounds of four.
* "dense": is a layer with zeros faster with its weights dense?

All layers get a first look, short; what looks slower than in ONNX Runtime's run, or than dense, is
measured again, longer, and the second look alone counts: of hundreds of layers measured once, some
look slower by chance. Slower is more than 5 % in the median, and at all in three rounds of four.
"given" is looked at up to three times, each with both programs made anew, since where a program's
memory comes to lie makes it a few percent faster or slower; what is slower is so each time.
lost us: what the layers slower than in ONNX Runtime's run lose together, of the network's time.
Layers given to ONNX Runtime do not count.

The whole zoo takes hours. The file is written after each network, so with --add a count that was
broken off goes on where it was, and with --folder what the tuner measured is not measured again.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import zoo
from bench.graph_of import graph_of
from bench.layer_times import Duel, in_network, over_dense, over_foreign, when_given
from coexec.compiler.ir import Graph
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import parse_rule
from coexec.compiler.tune import EFFORTS
from coexec.kernels.program import format
from coexec.kernels.program.format import CompiledModel

PRUNED = ("", "bcr=0.9", "unstructured=0.9", "unstructured=0.6")
# Shares of time: a first look's of a second's, a layer's alone of its network's, and how many times
# as long two whole networks get that differ by one layer.
_FIRST = 0.3
_ALONE = 0.1
_WHOLE = 10.0


@dataclass(frozen=True, slots=True)
class Second:
    """A layer's second look. over: "run", "alone", "given" or "dense"."""

    layer: str
    op: str
    taken: str
    over: str
    duel: Duel


@dataclass(frozen=True, slots=True)
class Row:
    """A network: its native layers, its time in all layers, and how many native ones are slower
    than what."""

    network: str
    prune: str
    native_layers: int
    coexec_us: float
    slower_run: int
    slower_alone: int
    slower_given: int
    unclear_given: int
    slower_dense: int
    lost_us: float
    lost_percent: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tune", choices=list(EFFORTS), default="fast")
    parser.add_argument("--only", default="", help="networks whose name holds this text")
    parser.add_argument("--prune", choices=["dense", *PRUNED[1:]], help="default: each of them")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a second look at a network")
    parser.add_argument("--folder", type=Path, help="keep networks and tunings here")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument(
        "--add", action="store_true", help="keep the file's rows, and count only what it has not"
    )
    arguments = parser.parse_args()
    prunings = PRUNED if arguments.prune is None else (arguments.prune.replace("dense", ""),)
    rows, layers = _counted(arguments.json) if arguments.add else ([], [])
    counted = {(row["network"], row["prune"]) for row in rows}
    wanted = [
        (network, prune)
        for network in zoo.ZOO
        for prune in prunings
        if arguments.only in network and (network, prune) not in counted
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for network, prune in wanted:
            target = Path(temporary) / f"{network}.coexec"
            model = tuned(zoo.write(network, folder), prune, arguments.tune, target)
            row, seconds = look(network, prune, model, arguments.seconds)
            _print(row, seconds)
            rows.append(asdict(row))
            layers += [_facts(row, second) for second in seconds]
            if arguments.json:
                _write(arguments.json, rows, layers)


def tuned(path: Path, prune: str, tune: str, target: Path) -> CompiledModel:
    """Compiles the network into `target`; keeps the tuning beside the network."""
    rules = [parse_rule(prune)] if prune else []
    tuning = path.parent / "tuning"
    options = CompileOptions(prune=rules, profile=False, tune=tune, tuning=tuning)
    compile_model(path, target, options)
    return format.load(target)


def look(
    network: str, prune: str, model: CompiledModel, seconds: float
) -> tuple[Row, list[Second]]:
    graph = graph_of(model)
    native = sum(layer.op != ONNX_RUNTIME for layer in graph.layers)
    if not native:
        return Row(network, prune, 0, 0.0, 0, 0, 0, 0, 0, 0.0, 0.0), []
    times, total_us = in_network(model, graph, seconds * _FIRST)
    suspects = [i for i, duel in times.items() if duel.slower]
    if suspects:
        times, total_us = in_network(model, graph, seconds)
        # What ONNX Runtime's profile gives 0 us this time has no time.
        suspects = [i for i in suspects if i in times]
    found = [
        *_over_onnx_runtime(model, graph, suspects, times, seconds * _ALONE),
        *_over_dense(model, graph, seconds * _ALONE),
    ]
    slower = [second for second in found if second.duel.slower]
    lost_us = sum(s.duel.ours_us - s.duel.theirs_us for s in slower if s.over == "run")
    count = Counter(second.over for second in slower)
    row = Row(
        network,
        prune,
        native,
        total_us,
        count["run"],
        count["alone"],
        count["given"],
        sum(second.duel.unclear for second in found if second.over == "given"),
        count["dense"],
        lost_us,
        100 * lost_us / total_us,
    )
    return row, found


def _over_onnx_runtime(
    model: CompiledModel,
    graph: Graph,
    suspects: list[int],
    times: dict[int, Duel],
    seconds: float,
) -> Iterator[Second]:
    for i in suspects:
        layer, taken = graph.layers[i], _taken(model, i)
        yield Second(layer.name, layer.op, taken, "run", times[i])
        if not times[i].slower:
            continue
        alone = over_foreign(graph, i, seconds)
        yield Second(layer.name, layer.op, taken, "alone", alone)
        if alone.slower:
            given = when_given(model, graph, i, times[i].ours_us, seconds * _WHOLE)
            yield Second(layer.name, layer.op, taken, "given", given)


def _over_dense(model: CompiledModel, graph: Graph, seconds: float) -> Iterator[Second]:
    for i, layer in enumerate(graph.layers):
        first = None if layer.op == ONNX_RUNTIME else over_dense(layer, seconds * _FIRST)
        if first is not None and first.slower and (again := over_dense(layer, seconds)):
            yield Second(layer.name, layer.op, _taken(model, i), "dense", again)


def _taken(model: CompiledModel, i: int) -> str:
    return model.program.layers[i].choice.taken or "native"


def _facts(row: Row, second: Second) -> dict[str, Any]:
    duel = asdict(second.duel)
    facts = {name: value for name, value in asdict(second).items() if name != "duel"}
    return {"network": row.network, "prune": row.prune, **facts, **duel}


def _print(row: Row, seconds: list[Second]) -> None:
    print(
        f"{row.network:16}{row.prune or 'dense':18}of {row.native_layers:3} layers slower: "
        f"{row.slower_run} than in its run ({row.lost_us:.0f} us, {row.lost_percent:.1f} % of "
        f"{row.coexec_us / 1e3:.2f} ms), {row.slower_alone} than alone, "
        f"{row.slower_given} than given ({row.unclear_given} unclear), "
        f"{row.slower_dense} than dense",
        flush=True,
    )
    for second in seconds:
        duel = second.duel
        print(
            f"    {'*' if duel.slower else ' '} {second.layer:20}{second.op:14}{second.taken:14}"
            f"{second.over:6}{duel.ours_us:9.1f} us, theirs {duel.theirs_us:9.1f} us, "
            f"ratio {duel.ratio:.2f} ({duel.low:.2f} to {duel.high:.2f})"
        )


def _counted(path: Path | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of networks and of layers that the file holds."""
    if path is None or not path.exists():
        return [], []
    facts = json.loads(path.read_text())
    return facts["rows"], facts["layers"]


def _write(path: Path, rows: list[dict[str, Any]], layers: list[dict[str, Any]]) -> None:
    totals = {
        name: sum(row[name] for row in rows)
        for name in (
            "native_layers",
            "slower_run",
            "slower_alone",
            "slower_given",
            "unclear_given",
            "slower_dense",
            "lost_us",
        )
    }
    percent = 100 * totals["lost_us"] / max(1.0, sum(row["coexec_us"] for row in rows))
    facts = {"rows": rows, **totals, "lost_percent": percent, "layers": layers}
    path.write_text(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
