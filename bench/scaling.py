"""What zeros and cores are worth, against coexec itself: on one network, on one machine.

    python -m bench.scaling [--network NAME] [--rounds N] [--json FILE]

First the dense network over the same pruned by bcr, at rising shares of zeros: the break-even is
the least share from which on it is faster. Then one core over two, dense and with 90 % zeros, and
how evenly the kernels deal the products of kept weights to two workers: the busiest one's over the
mean, by layer, and of all layers together when each waits for its busiest. Only convolutions with
sparse weights say it. And what could be gained by keeping small layers on one core: the layers'
least times on two, against the lesser of both for each.

Where cores are virtual the second one comes and goes: for seconds both share a real one, or one
has a busy neighbour, and both wait for the slower. So beside the median of the rounds' ratios
stands that of the best: the first's least time over the second's.
"""

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import zoo
from bench.compare import alternate, ratio
from coexec.compiler.describe import random_inputs
from coexec.compiler.pipeline import CompileOptions, compile_model
from coexec.compiler.prune import parse_rule
from coexec.kernels._kernels import available_cores
from coexec.kernels.program import format
from coexec.kernels.program.format import CompiledModel
from coexec.kernels.program.runner import Runner

ZEROS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
# Blocks are given, not measured, so that all shares and runs compare the same thing.
BLOCK = "8x64"
MANY_ZEROS = 0.9
WORKERS = 2
NOISE = 1.02  # a ratio below says nothing


@dataclass(frozen=True, slots=True)
class Row:
    """ms: medians of what is compared. ratio: how many times faster the second is, the median of
    the rounds; best_ratio: the first's least time over the second's."""

    compared: str
    first_ms: float
    second_ms: float
    ratio: float
    best_ratio: float


@dataclass(frozen=True, slots=True)
class Balance:
    """products: multiply-adds with stored weights, of each worker."""

    layer: str
    products: list[int]
    busiest_over_mean: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """Sums of layers' least microseconds: all on two cores, and each on one or two, as is best."""

    compared: str
    two_us: float
    best_us: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet50", choices=sorted(zoo.ZOO))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = zoo.write(arguments.network, folder)
        dense = _compiled(path, folder, 0.0)
        rows = []
        for zeros in ZEROS:
            runners = {"dense": Runner(dense), "bcr": Runner(_compiled(path, folder, zeros))}
            rows.append(_measure(f"dense over bcr={zeros:g}", runners, dense, arguments.rounds))
        faster = [row.ratio > NOISE for row in rows]
        wins = [z for i, z in enumerate(ZEROS) if all(faster[i:])]
        print(f"break-even: {f'{wins[0]:.0%}' if wins else 'above the largest share'} of zeros")
        balances = _balances(_compiled(path, folder, MANY_ZEROS))
        worst = max(balances, key=lambda row: row.busiest_over_mean)
        busiest = sum(max(row.products) for row in balances)
        balance = busiest * WORKERS / sum(sum(row.products) for row in balances)
        print(
            f"products of the busiest of {WORKERS} workers over the mean: {balance:.3f} in "
            f"{len(balances)} layers, at most {worst.busiest_over_mean:.3f} ({worst.layer})"
        )
        cores = available_cores()
        chosen = []
        for zeros in (0.0, MANY_ZEROS):
            model = dense if zeros == 0.0 else _compiled(path, folder, zeros)
            runners = {"one core": Runner(model, 1), "two cores": Runner(model, 2)}
            # The caller is the first worker; the others have a core of their own already.
            os.sched_setaffinity(0, cores[:1])
            name = f"one core over two, {f'bcr={zeros:g}' if zeros else 'dense'}"
            rows.append(_measure(name, runners, model, arguments.rounds))
            chosen.append(_with_chosen_cores(name, runners, model, arguments.rounds))
            os.sched_setaffinity(0, cores)
    if arguments.json:
        facts = {
            "rows": [asdict(row) for row in rows],
            "network": arguments.network,
            "break_even": wins[0] if wins else None,
            "busiest_over_mean": balance,
            "worst_layer_busiest_over_mean": worst.busiest_over_mean,
            "layers": [asdict(row) for row in balances],
            "cores_by_layer": [asdict(row) for row in chosen],
        }
        arguments.json.write_text(json.dumps(facts, indent=1))


def _compiled(path: Path, folder: Path, zeros: float) -> CompiledModel:
    rules = [parse_rule(f"bcr={zeros:g}@{BLOCK}")] if zeros else []
    target = folder / f"{zeros:g}.coexec"
    compile_model(path, target, CompileOptions(prune=rules, profile=False))
    return format.load(target)


def _balances(model: CompiledModel) -> list[Balance]:
    found = []
    for i, dealt in Runner(model).products(WORKERS).items():
        products = [*dealt, *[0] * (WORKERS - len(dealt))]
        share = max(products) * WORKERS / max(1, sum(products))
        found.append(Balance(model.program.layers[i].name, products, share))
    return found


def _measure(name: str, runners: dict[str, Runner], model: CompiledModel, rounds: int) -> Row:
    feed: dict[str, Any] = random_inputs(model.program)
    times = alternate({key: lambda r=r: r.run(feed) for key, r in runners.items()}, rounds)
    first, second = times
    medians = [statistics.median(times[key]) for key in (first, second)]
    best = min(times[first]) / min(times[second])
    row = Row(name, *medians, ratio(times, first, second), best)
    print(
        f"{row.compared:32}{row.first_ms:9.2f} ms{row.second_ms:9.2f} ms{row.ratio:7.2f}x"
        f"{row.best_ratio:7.2f}x best",
        flush=True,
    )
    return row


def _with_chosen_cores(
    name: str, runners: dict[str, Runner], model: CompiledModel, rounds: int
) -> Chosen:
    feed: dict[str, Any] = random_inputs(model.program)
    least: list[dict[int, float]] = []
    for runner in runners.values():
        times: dict[int, float] = {}
        for _ in range(rounds):
            runner.run(feed)
            for i, us in runner.layer_us.items():
                times[i] = min(us, times.get(i, us))
        least.append(times)
    one, two = least
    row = Chosen(name, sum(two.values()), sum(min(one[i], us) for i, us in two.items()))
    print(
        f"layers on two cores {row.two_us:.0f} us, each on one or two as is best "
        f"{row.best_us:.0f} us",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
