"""The course of an episode as a drawing: labels as a strip, the probability of its label as a line."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from pipeline.drafts.record import Draft

WIDTH, HEIGHT = 640, 190
LEFT, RIGHT = 44, 12
TOP, STRIP, GAP = 14, 22, 14
BOTTOM = 24
# Blue, orange, green, ...: told apart also by those who do not see red and green (Okabe and Ito, 2008).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999", "#000000")
NO_LABEL = "#DDDDDD"


def colours(draft: Draft) -> dict[str, str]:
    """A colour for each label of the draft; the empty label is time that got none."""
    labels = sorted({label for label, _, _ in draft.curve.stretches if label} | {draft.episode.label})
    return {"": NO_LABEL} | {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}


def horizontal(draft: Draft) -> Callable[[float], float]:
    """From seconds since the start to a position."""
    seconds = max(draft.curve.seconds, 1e-3)
    return lambda at: LEFT + (WIDTH - LEFT - RIGHT) * min(max(at / seconds, 0.0), 1.0)


def vertical(p: float) -> float:
    """From a probability to a position, downwards."""
    top = TOP + STRIP + GAP
    return top + (HEIGHT - BOTTOM - top) * (1.0 - p)


def svg(draft: Draft) -> str:
    """Self-contained; everything supplied is escaped."""
    x, colour = horizontal(draft), colours(draft)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Course of the episode: {escape(draft.episode.label)}" '
        'font-family="sans-serif" font-size="11">'
    ]
    for label, start, end in draft.curve.stretches:
        parts.append(
            f'<rect x="{x(start):.1f}" y="{TOP}" width="{max(x(end) - x(start), 0.5):.1f}" height="{STRIP}" '
            f'fill="{colour[label]}"><title>{escape(label or "no label")}</title></rect>'
        )
    for p in (0.0, 0.5, 1.0):
        y = vertical(p)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#CCCCCC"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{100 * p:.0f} %</text>')
    if draft.curve.points:
        line = " ".join(f"{x(at):.1f},{vertical(p):.1f}" for at, p in draft.curve.points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour[draft.episode.label]}" stroke-width="2"/>'
        )
    legend = LEFT
    for label, fill in colour.items():
        word = escape(label or "no label")
        parts.append(f'<rect x="{legend}" y="{HEIGHT - 14}" width="10" height="10" fill="{fill}"/>')
        parts.append(f'<text x="{legend + 14}" y="{HEIGHT - 5}">{word}</text>')
        legend += 24 + 7 * len(label or "no label")
    return "".join(parts) + "</svg>"
