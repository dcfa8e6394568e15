"""The layouts a layer's weights could have, with what the cost model says of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from coexec.compiler.ir import Layer, Value
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.passes.sparsify import layer_work
from coexec.compiler.passes.weights import STRIP_ROWS
from coexec.kernels.program.validate import LAYOUTS

# With fewer zeros than this no sparse layout can make up for its index lists.
ZEROS_MIN = 0.1
LAID_OUT = ("f32", "bf16")  # the types of weights that have more than one layout


@dataclass(frozen=True, slots=True)
class LayoutCandidate:
    """layouts: by operand index. work: predicted, as a share of one multiply-add per element of
    the weights and pixel; 0 without a prediction."""

    name: str
    layouts: tuple[tuple[int, str], ...]
    work: float


def sparse_operands(layer: Layer) -> list[int]:
    """The layer's constant f32 and bf16 weights that have enough zeros to choose a layout for."""
    op = BY_NAME[layer.op]
    found = []
    for i, (value, name) in enumerate(zip(layer.inputs, op.inputs, strict=False)):
        if value is None or value.constant is None or name.rstrip("?") not in op.weights:
            continue
        zeros = value.constant.size - np.count_nonzero(value.constant)
        if value.type.dtype in LAID_OUT and zeros > ZEROS_MIN * value.constant.size:
            found.append(i)
    return found


def layout_candidates(layer: Layer, free: list[int]) -> list[LayoutCandidate]:
    """Every combination of layouts for the operands `free`, the present one first. A kernel
    may still refuse one."""
    work = {i: _work(layer, i) for i in free}
    total = sum(_elements(layer, i) for i in free)
    present = tuple((i, _value(layer, i).type.layout) for i in free)
    combinations = dict.fromkeys(
        (
            present,
            *itertools.product(*([(i, layout) for layout in _layouts(work[i])] for i in free)),
        )
    )
    return [
        LayoutCandidate(
            _name(layer, layouts),
            layouts,
            _weighted([(work[i].get(layout, 0.0), _elements(layer, i)) for i, layout in layouts])
            / total,
        )
        for layouts in combinations
    ]


def with_layouts(layer: Layer, layouts: tuple[tuple[int, str], ...]) -> Layer:
    """A copy of the layer whose operands have these layouts."""
    inputs = list(layer.inputs)
    for i, layout in layouts:
        value = _value(layer, i)
        inputs[i] = Value(value.name, replace(value.type, layout=layout), value.constant)
    return Layer(layer.op, layer.name, inputs, list(layer.outputs), dict(layer.attrs))


def worth_measuring(
    candidates: list[LayoutCandidate], work_max: float
) -> Iterator[tuple[LayoutCandidate, bool]]:
    """Each candidate with whether its predicted work allows it to be the fastest. The first,
    those without a prediction, and the two predicted best always are: the prices of the layouts
    come from one machine, and on another the second may win."""
    predicted = sorted(c.work for c in candidates if c.work)
    most = max([*predicted[1:2], *(work_max * work for work in predicted[:1])], default=0.0)
    for candidate in candidates:
        yield candidate, candidate is candidates[0] or candidate.work <= most


def _layouts(work: dict[str, float]) -> list[str]:
    """All but pattern and nm, which few weights fit: those that the cost model knows them for."""
    return [layout for layout in LAYOUTS if layout not in ("pattern", "nm") or layout in work]


def _work(layer: Layer, i: int) -> dict[str, float]:
    """By layout, for those the cost model knows: the share of one multiply-add per element.
    Dense itself has less where Winograd takes it."""
    value = _value(layer, i)
    if layer.op not in STRIP_ROWS or layer.attrs.get("group", 1) != 1:
        return {"dense": 1.0}
    return {layout: w / value.type.elements for layout, w in layer_work(layer, value).items()}


def _weighted(shares: list[tuple[float, int]]) -> float:
    """The sum of share times weight; 0 when a share is unknown."""
    return sum(s * w for s, w in shares) if all(s for s, _ in shares) else 0.0


def _value(layer: Layer, i: int) -> Value:
    value = layer.inputs[i]
    assert value is not None
    return value


def _elements(layer: Layer, i: int) -> int:
    return _value(layer, i).type.elements


def _name(layer: Layer, layouts: tuple[tuple[int, str], ...]) -> str:
    if len(layouts) == 1:
        return layouts[0][1]
    names = BY_NAME[layer.op].inputs
    return " ".join(f"{names[i].rstrip('?')}={layout}" for i, layout in layouts)
