"""Prometheus' text format, version 0.0.4.

Written here because the usual library gives every counter a name that ends in _total, and
dashboards made for Triton ask for Triton's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Family:
    """A metric and its samples. kind: counter or gauge."""

    name: str
    kind: str
    help: str
    _lines: list[str] = field(default_factory=list)

    def add(self, value: float, labels: Mapping[str, str] | None = None) -> None:
        inside = ",".join(f'{key}="{_escape(text)}"' for key, text in (labels or {}).items())
        number = str(value) if isinstance(value, int) else repr(float(value))
        self._lines.append(self.name + (f"{{{inside}}}" if inside else "") + f" {number}")

    def text(self) -> str:
        head = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.kind}"]
        return "\n".join([*head, *self._lines, ""]) if self._lines else ""


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class Families:
    """Metrics by name, in the order they were first named."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def counter(self, name: str, help: str) -> Family:
        return self._families.setdefault(name, Family(name, "counter", help))

    def gauge(self, name: str, help: str) -> Family:
        return self._families.setdefault(name, Family(name, "gauge", help))

    def text(self) -> str:
        return "".join(family.text() for family in self._families.values())
