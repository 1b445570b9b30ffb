"""Figures as lines of text and as rows of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.evaluation.protocols import PROTOCOLS
from training.evaluation.summary import Figures

LEAKY = "LEAKY"


def protocol(figures: Figures) -> str:
    """Its name; the leaky one is marked wherever it is printed."""
    return f"{figures.protocol} ({LEAKY})" if figures.leaky else figures.protocol


def rows(found: Sequence[Figures]) -> Iterator[str]:
    """For a terminal: one line a system, a blank line between protocols and variants."""
    before = None
    for one in found:
        if before not in (None, (one.protocol, one.variant)):
            yield ""
        before = (one.protocol, one.variant)
        long = f"{one.stretch.macro_f1:.3f}" if one.stretch else "–"
        yield (
            f"{protocol(one):<32} {one.variant:<16.40} {one.system:<15} macro-F1 {interval(one)}  "
            f"30 s {long}  accuracy {one.scores.accuracy:.3f}  kappa {one.scores.kappa:+.3f}  "
            f"calibration error {one.calibration_error:.3f}"
        )


def interval(one: Figures) -> str:
    return f"{one.scores.macro_f1:.3f} [{one.scores.low:.3f}, {one.scores.high:.3f}]"


def told(name: str) -> str:
    """A protocol in words."""
    return next(held.told for protocol, held in PROTOCOLS.items() if protocol == name)


def markdown(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """A table; bars within cells are escaped."""
    lines = [[str(cell).replace("|", "\\|") for cell in row] for row in (head, *body)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"
