"""Bars as SVG, written by hand: no plotting library is needed to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.bench.report import Chart
from tests.bench.rounds import number

_WIDTH = 860
_LABELS = 300  # room for the bars' names
_FIGURES = 110  # room for the figures behind the bars
_BAR, _STEP = 16, 24
_OURS, _THEIRS, _INK, _PAPER = "#0b7285", "#adb5bd", "#212529", "#ffffff"


def write(file: Path, charts: Sequence[Chart]) -> None:
    """One panel a chart, below each other; a thin line shows the spread over the rounds."""
    parts: list[str] = []
    y = 20
    for chart in charts:
        y = _panel(parts, chart, y)
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" '
        f'font-family="sans-serif" font-size="13" fill="{_INK}">\n'
        f'<rect width="{_WIDTH}" height="{y}" fill="{_PAPER}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(parts: list[str], chart: Chart, y: int) -> int:
    """Returns where the next panel begins."""
    parts.append(_text(20, y + 14, chart.title, 'font-weight="bold" font-size="15"'))
    parts.append(_text(_WIDTH - 20, y + 14, chart.unit, 'text-anchor="end" fill="#495057"'))
    y += 28
    most = max((bar.value.high for bar in chart.bars), default=0.0) or 1.0
    scale = (_WIDTH - _LABELS - _FIGURES - 20) / most
    for bar in chart.bars:
        middle = y + _BAR / 2
        parts.append(_text(_LABELS - 8, y + 13, bar.name, 'text-anchor="end"'))
        colour = _OURS if bar.ours else _THEIRS
        width = max(1.0, bar.value.median * scale)
        parts.append(f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
        low, high = (_LABELS + end * scale for end in (bar.value.low, bar.value.high))
        parts.append(f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="{_INK}" stroke-width="1.5"/>')
        parts.append(_text(max(high, _LABELS + width) + 8, y + 13, number(bar.value.median)))
        y += _STEP
    return y + 24


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
