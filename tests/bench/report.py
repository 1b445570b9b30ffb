"""What was measured: flat figures for machines, tables for people, bars for the eye, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.rounds import Spread, number


@dataclass(frozen=True, slots=True)
class Bar:
    """ours: drawn in the project's colour."""

    name: str
    value: Spread
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """unit: of the bars, and which way is better."""

    title: str
    unit: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(slots=True)
class Report:
    """figures: by key; a unit ends the key of what has one."""

    figures: dict[str, float | int | str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    title: str = "make bench"

    def figure(self, key: str, value: float | Spread) -> None:
        """A spread gives three keys: its median under `key`, and `_low` and `_high`."""
        if isinstance(value, Spread):
            self.figures[key] = _rounded(value.median)
            self.figures[f"{key}_low"] = _rounded(value.low)
            self.figures[f"{key}_high"] = _rounded(value.high)
        else:
            self.figures[key] = _rounded(value)

    def note(self, key: str, told: str) -> None:
        """What a figure is of."""
        self.figures[key] = told

    def miss(self, what: str, why: str) -> None:
        """why: one line, how to get it."""
        self.missing[what] = why

    def write(self, json_file: Path, machine: dict[str, str | int | float]) -> None:
        """The JSON, and a Markdown page beside it. Not a number is null: no measurement."""
        json_file.parent.mkdir(parents=True, exist_ok=True)
        told = {
            **machine,
            **{key: None if value != value else value for key, value in self.figures.items()},
            "missing": "; ".join(f"{what}: {why}" for what, why in self.missing.items()),
        }
        json_file.write_text(json.dumps(told, indent=2) + "\n")
        json_file.with_suffix(".md").write_text(self.markdown(machine, json_file.with_suffix(".svg").name))

    def markdown(self, machine: dict[str, str | int | float], chart: str) -> str:
        parts = [f"# {self.title}\n", f"{_machine(machine)}\n"]
        if self.charts:
            parts.append(f"![Chart]({chart})\n")
        for table in self.tables:
            parts.append(f"## {table.title}\n")
            parts += [_row(table.header), _row(["---"] * len(table.header)), *map(_row, table.rows), ""]
            if table.note:
                parts.append(f"{table.note}\n")
        parts += self._missing()
        return "\n".join(parts)

    def text(self, machine: dict[str, str | int | float]) -> str:
        """For a terminal."""
        parts = [_machine(machine)]
        for table in self.tables:
            rows = [table.header, *table.rows]
            widths = [max(len(row[i]) for row in rows) for i in range(len(table.header))]
            parts += ["", table.title, *(_aligned(row, widths) for row in rows)]
            if table.note:
                parts.append(f"  {table.note}")
        return "\n".join([*parts, "", *self._missing()])

    def _missing(self) -> list[str]:
        return [f"Missing: {what}: {why}." for what, why in self.missing.items()]


def _machine(machine: dict[str, str | int | float]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine.items())


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  " + "  ".join([first, *(cell.strip().rjust(len(cell)) for cell in rest)])


def _rounded(value: float) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.4g}")


def told(value: float | Spread) -> str:
    return str(value) if isinstance(value, Spread) else number(value)
