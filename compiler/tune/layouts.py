"""The layout of every weight with zeros: from the cache, or measured."""

from __future__ import annotations

from dataclasses import replace

from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.ops import ONNX_RUNTIME
from coexec.compiler.tune.cache import Tuning
from coexec.compiler.tune.candidates import (
    LayoutCandidate,
    layout_candidates,
    sparse_operands,
    with_layouts,
    worth_measuring,
)
from coexec.compiler.tune.choice import Candidate, Choice
from coexec.compiler.tune.effort import Effort
from coexec.compiler.tune.key import layer_key
from coexec.compiler.tune.measure import Budget, Race, Run, pick, race, timed
from coexec.compiler.tune.trial import Trial, disagreement, tolerance

# The present layout stays when it is slower by less than this: that is within what a
# measurement repeats.
_MARGIN = 0.02


def tune_layouts(
    graph: Graph,
    effort: Effort | None,
    tuning: Tuning,
    race: Race = race,
) -> dict[str, Choice]:
    """Sets the layout of weights in place; returns what was tried, by layer name. Without an
    effort nothing is measured: what the cache does not know stays as it is. A weight that
    several layers read has the layout its first reader chose."""
    choices: dict[str, Choice] = {}
    settled: set[Value] = set()
    for layer in graph.layers:
        if layer.op == ONNX_RUNTIME:
            continue
        operands = sparse_operands(layer)
        free = [i for i in operands if layer.inputs[i] not in settled]
        settled.update(v for i in operands if (v := layer.inputs[i]) is not None)
        if not free:
            known = tuning.find(layer_key(layer))
            if known is not None and not operands:
                choices[layer.name] = known
            continue
        # Where another layer settled a weight, what is left is another question.
        key = layer_key(layer) + "".join(f"-{i}" for i in operands if i not in free)
        candidates = layout_candidates(layer, free)
        choice = tuning.find(key, effort.name if effort else "")
        if choice is not None and choice.taken not in {c.name for c in candidates}:
            choice = None  # it was made by a build with other layouts
        if choice is None and effort is not None:
            choice = _measured(layer, candidates, effort, race)
            tuning.keep(key, choice)
        if choice is not None:
            _apply(layer, candidates, choice)
            choices[layer.name] = choice
    return choices


def _apply(layer: Layer, candidates: list[LayoutCandidate], choice: Choice) -> None:
    taken = next(c for c in candidates if c.name == choice.taken)
    for i, layout in taken.layouts:
        value = layer.inputs[i]
        assert value is not None
        value.type = replace(value.type, layout=layout)


def _measured(
    layer: Layer, candidates: list[LayoutCandidate], effort: Effort, race: Race
) -> Choice:
    """Every candidate's results are compared with the dense layout's before its time counts."""
    trial = Trial(layer)
    want = _dense_results(trial, layer, candidates)
    runs: dict[str, Run] = {}
    notes: dict[str, str] = {}
    for candidate, worth in worth_measuring(candidates, effort.work_max):
        if not worth:
            notes[candidate.name] = "too much work to be the fastest; not measured"
            continue
        try:
            run, results = trial.native(with_layouts(layer, candidate.layouts))
        except ValueError as error:
            notes[candidate.name] = str(error)
            continue
        run()
        notes[candidate.name] = disagreement(results, want, tolerance(layer))
        if not notes[candidate.name]:
            runs[candidate.name] = timed(run)
    budget = Budget(effort.rounds_min, effort.rounds_max, effort.layer_seconds)
    scores = race(runs, budget)
    return Choice(
        [
            Candidate(c.name, c.work, scores.get(c.name, 0.0), notes.get(c.name, ""))
            for c in candidates
        ],
        pick(scores, candidates[0].name, _MARGIN),
        effort.name,
    )


def _dense_results(trial: Trial, layer: Layer, candidates: list[LayoutCandidate]) -> list[Array]:
    free = [i for i, _ in candidates[0].layouts]
    run, results = trial.native(with_layouts(layer, tuple((i, "dense") for i in free)))
    run()
    return results
