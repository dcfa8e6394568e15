"""Prunes a graph's weights one after another by least squares on calibration inputs, which pass
through the layers already pruned: each layer is fitted to what it computed before pruning, from
the inputs it gets after. So it makes up for its own zeros and for what reached it (as He et al.,
"Channel Pruning", arXiv 1707.06168, section 3.2, for whole channels)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from coexec.compiler.errors import CompileError
from coexec.compiler.ir import Array, Graph, Layer, Value
from coexec.compiler.ir.ops import BY_NAME
from coexec.compiler.passes.linear import LINEAR, RESIDUAL, operand
from coexec.compiler.passes.weights import Weight, as_matrix
from coexec.compiler.prune.least_squares import ChooseMask, LeastSquares
from coexec.compiler.prune.moments import Moments, columns_of, positions, results_of
from coexec.compiler.prune.walk import Run, Walk

# Columns per layer: enough for its moments, whatever the size of pictures.
_POSITIONS_MIN, _POSITIONS_PER_COLUMN = 8192, 4
_RECURRENT = ("LSTM", "GRU")
_BIAS, _RECURRENT_BIAS, _INITIAL_H = 2, 3, 4  # operands


class Reconstruction:
    """Weights must come in the order of the graph's layers."""

    def __init__(self, graph: Graph, examples: Sequence[Sequence[Array]], run: Run) -> None:
        self._index = {layer: i for i, layer in enumerate(graph.layers)}
        readers = Counter(value for layer in graph.layers for value in layer.inputs if value)
        self._shared = {value for value, count in readers.items() if count > 1}
        # As it is before pruning, and with everything pruned that came before.
        self._before = Walk(_frozen(graph), examples, run)
        self._after = Walk(graph, examples, run)
        self._layer: Layer | None = None
        self._old: dict[str, _Old] = {}
        self._gap: list[Array] = []  # what the residual operand lost, per example

    def why_not(self, weight: Weight) -> str:
        """Why least squares does not fit the weight, or ""."""
        if weight.value in self._shared:
            return "several layers share it"
        layer = weight.layer
        if weight.operand == "r" and layer.op == "GRU" and not layer.attrs["linear_before_reset"]:
            return "its inputs are reset inside the layer"
        return ""

    def prune(self, weight: Weight, rate: float, choose: ChooseMask) -> float:
        """Replaces the weight by one of the rate `rate` under the masks of `choose`, and the bias
        that goes with it. Returns the layer's squared error relative to its results."""
        array = weight.value.constant
        assert array is not None
        fitted, biases, errors = [], [], []
        for moments, problem in self._problems(weight):
            fitted.append(problem.prune(rate, choose))
            errors.append(problem.error(fitted[-1]))
            biases.append(moments.bias(fitted[-1]))
        if self._old[weight.operand].bias is not None:
            _set_bias(weight, np.concatenate(biases))
        weight.value.constant = np.concatenate(fitted).astype(array.dtype).reshape(array.shape)
        return float(np.mean(errors))

    def errors(self, weight: Weight, rates: Sequence[float], choose: ChooseMask) -> list[float]:
        """What prune would return for each of the ascending rates, nearly; changes nothing."""
        paths = [
            [problem.error(w) for w in problem.path(rates, choose)]
            for _, problem in self._problems(weight)
        ]
        return [float(error) for error in np.mean(paths, axis=0)]

    def _problems(self, weight: Weight) -> Iterator[tuple[Moments, LeastSquares]]:
        """One, or one per direction: each direction's recurrent weights have states of their
        own."""
        if weight.layer is not self._layer:
            self._enter(weight.layer)
        array = weight.value.constant
        assert array is not None
        ways = array.shape[0] if weight.operand == "r" else 1
        with_bias = self._old[weight.operand].bias is not None
        for way, rows in enumerate(np.split(as_matrix(weight.layer.op, array), ways)):
            moments = self._moments(weight, way, ways)
            if not moments.finite:
                raise CompileError(
                    f"{weight.layer.name}: the calibration inputs lead to infinities or NaNs here; "
                    "give inputs as the model gets them in use, or --no-reconstruct"
                )
            yield moments, moments.problem(rows, with_bias)

    def _enter(self, layer: Layer) -> None:
        """Brings both walks up to the layer."""
        at = self._index[layer]
        old = self._before.to(at)
        self._after.to(at)
        self._layer = layer
        x = layer.inputs[0]
        assert x is not None
        self._old = {"w": _Old.of(old, "w", self._before.values(x))}
        if layer.op in _RECURRENT:
            self._old["r"] = _Old.of(old, "r", _states(old, self._before))
        residual = operand(layer, RESIDUAL) if layer.op in LINEAR else None
        self._gap = []
        if residual is not None:
            pairs = zip(self._before.values(residual), self._after.values(residual), strict=True)
            self._gap = [due - is_now for due, is_now in pairs]

    def _moments(self, weight: Weight, way: int, ways: int) -> Moments:
        """Inputs that reach the layer now, with the results of its old weights on its old
        inputs. Recurrent weights see old states in both: those of a network that is worse already
        teach worse."""
        layer, old = weight.layer, self._old[weight.operand]
        x = layer.inputs[0]
        assert x is not None
        now = self._after.values(x) if weight.operand == "w" else old.inputs
        rows = np.split(old.matrix, ways)[way]
        bias = np.zeros(len(rows)) if old.bias is None else np.split(old.bias, ways)[way]
        moments = Moments(*rows.shape)
        rng = np.random.default_rng(0)
        most = max(_POSITIONS_MIN, _POSITIONS_PER_COLUMN * rows.shape[1]) // len(now) + 1
        for i, (x_old, x_new) in enumerate(zip(old.inputs, now, strict=True)):
            if weight.operand == "r":
                x_old, x_new = x_old[way], x_new[way]
            there = positions(layer, x_new)
            chosen = np.arange(there)
            if there > most:
                chosen = np.sort(rng.choice(there, most, replace=False))
            y = rows @ columns_of(layer, x_old, chosen) + bias[:, None].astype(np.float32)
            if self._gap:
                y += results_of(layer, self._gap[i], chosen)
            moments.add(columns_of(layer, x_new, chosen), y)
        return moments


def _frozen(graph: Graph) -> Graph:
    """The graph with constants of its own, which keep what pruning replaces."""
    own: dict[Value, Value] = {}

    def kept(value: Value | None) -> Value | None:
        if value is None or value.constant is None:
            return value
        return own.setdefault(value, Value(value.name, value.type, value.constant))

    layers = [replace(layer, inputs=[kept(v) for v in layer.inputs]) for layer in graph.layers]
    return Graph(graph.name, graph.inputs, graph.outputs, layers)


class _Old(NamedTuple):
    """One operand of a layer before pruning. matrix: [rows, columns]. bias: [rows] that is added
    to its products, if any. inputs: what it multiplies, per example; recurrent weights' are
    [D, T, B, H]."""

    matrix: Array
    bias: Array | None
    inputs: list[Array]

    @classmethod
    def of(cls, layer: Layer, name: str, inputs: list[Array]) -> _Old:
        value = layer.inputs["?wr".index(name)]
        assert value is not None
        assert value.constant is not None
        matrix = as_matrix(layer.op, value.constant)
        bias = _bias(layer, name)
        return cls(matrix, bias if bias is None else bias.flatten(), inputs)


def _states(layer: Layer, walk: Walk) -> list[Array]:
    """Per example: the state each step of each direction starts from, [D, T, B, H]."""
    types = BY_NAME[layer.op].infer_types(
        [v.type if v else None for v in layer.inputs], layer.attrs
    )
    result = Value(f"{layer.name} states", types[0])
    steps = walk.run_alone(Layer(layer.op, layer.name, layer.inputs, [result], layer.attrs), result)
    initial = operand(layer, _INITIAL_H)
    starts = walk.values(initial) if initial else [np.zeros_like(y[0]) for y in steps]
    found = []
    for y, start in zip(steps, starts, strict=True):
        ways = []
        for way in range(y.shape[1]):
            if layer.attrs["direction"] == "reverse" or way == 1:
                ways.append(np.concatenate([y[1:, way], start[None, way]]))
            else:
                ways.append(np.concatenate([start[None, way], y[:-1, way]]))
        found.append(np.stack(ways))
    return found


def _bias(layer: Layer, name: str) -> Array | None:
    """The bias that is added to an operand's products, as a view [rows] or, of recurrent layers,
    [D, rows of a direction]; None where it is absent or computed."""
    value = operand(layer, _RECURRENT_BIAS if layer.op in _RECURRENT else _BIAS)
    if value is None or value.constant is None:
        return None
    if layer.op not in _RECURRENT:
        return value.constant
    halves = value.constant.reshape(value.constant.shape[0], 2, -1)
    return halves[:, "wr".index(name)]


def _set_bias(weight: Weight, bias: Array) -> None:
    layer = weight.layer
    index = _RECURRENT_BIAS if layer.op in _RECURRENT else _BIAS
    old = layer.inputs[index]
    assert old is not None
    assert old.constant is not None
    # A value of its own: other layers may read the old one.
    layer.inputs[index] = Value(f"{old.name} of {layer.name}", old.type, old.constant.copy())
    view = _bias(layer, weight.operand)
    assert view is not None
    view[...] = bias.reshape(view.shape)
