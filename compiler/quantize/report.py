"""What storing weights in another type cost, weight by weight."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TypedWeight:
    """One weight. dtype: what it is stored as now. error: the root of the squared differences
    that rounding made, relative to the weight; of int8, to the layer's result on calibration
    inputs. note: why it stays f32."""

    layer: str
    operand: str
    dtype: str
    weights: int
    error: float
    note: str = ""

    def __str__(self) -> str:
        error = f", error {self.error:.2e}" if self.error else ""
        why = f": {self.note}" if self.note else ""
        return f"{self.layer}.{self.operand}: {self.dtype}, {self.weights} weights{error}{why}"


@dataclass(slots=True)
class TypeReport:
    """output_error: of all outputs over all calibration inputs, relative to those of the same
    model in f32; None without such inputs. warnings: of what is sound layer by layer, but not as
    a whole."""

    weights: list[TypedWeight] = field(default_factory=list)
    output_error: float | None = None
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report as text: a line per weight, then the totals."""
        elements = sum(w.weights for w in self.weights)
        narrow = sum(w.weights for w in self.weights if w.dtype != "f32")
        share = narrow / elements if elements else 0.0
        error = (
            "not measured (give --calibration FILE.npz)"
            if self.output_error is None
            else f"{self.output_error:.3g}"
        )
        return [*map(str, self.weights), f"total: {share:.1%} narrowed, output error {error}"]
