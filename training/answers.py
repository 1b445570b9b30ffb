"""The text that follows the question: emotion, diagnosis, treatment; and the way back from text to emotion.

Nothing clinical is made up. The diagnosis describes what was measured in the window and names no disease; the
treatment is one advice of the guidance base, word for word, with the id of its entry. A label that the
guidance base does not know gets no treatment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pipeline import prompt
from pipeline.calibration import LEVELS, MIDDLE, RANGE
from pipeline.drafts.check import NO_DISEASE
from pipeline.drafts.facts import NOTABLE
from pipeline.drafts.regions import region_of
from pipeline.guidance import Entry, Guidance
from pipeline.records import CompressedWindow
from pipeline.wavelet import METHODS, EnergyMethod

# Deviations that are named, the largest; a longer list teaches a model to ramble.
_MOST = 3
_LABEL = re.compile(r"\s*(?:emotion:)?\s*")


def answer_text(label: str, window: CompressedWindow | None = None, variant: int = 0) -> str:
    """The whole answer, to be put behind `prompt.question`.

    window: whose deviations the diagnosis names. variant: any number; chooses among the entries that fit.
    """
    entries = entries_for(label)
    treatment = ""
    if entries:
        entry = entries[variant % len(entries)]
        treatment = f"{' '.join(entry.recommendation.split())} [{entry.id}]"
    return prompt.answer(label, diagnosis_of(label, window), treatment)


def diagnosis_of(label: str, window: CompressedWindow | None = None) -> str:
    """What was measured, in words; never a disease."""
    said = [f"The signal resembles what was labelled {label} in training."]
    if window is not None:
        said += _deviations(window)
    return " ".join([*said, NO_DISEASE])


@lru_cache(maxsize=64)
def entries_for(label: str) -> tuple[Entry, ...]:
    """Entries that name this label and advise something: recommendations, else limitations. Best first."""
    with Guidance.shipped() as guidance:
        for kind in ("recommendation", "limitation"):
            fitting = [
                entry
                for entry in guidance.entries.values()
                if label in entry.states and entry.kind == kind and entry.recommendation
            ]
            if fitting:
                question = f"{label}: what helps, exercises, relaxation, support"
                found = guidance.search(question, k=len(guidance.entries), states=(label,), kinds=(kind,))
                rank = {passage.id: place for place, passage in enumerate(found)}
                return tuple(sorted(fitting, key=lambda entry: (rank.get(entry.id, len(rank)), entry.id)))
    return ()


def emotion_of(text: str, labels: Sequence[str]) -> str | None:
    """The label that a written answer begins with; None where it begins with none of them.

    text: what a model wrote behind the question, or the question and what it wrote.
    """
    told = text.rpartition(prompt.ASK)[2] if prompt.ASK in text else text
    told = _LABEL.sub("", told, count=1).casefold()
    # The longest first: one label may be the beginning of another.
    for label in sorted(labels, key=len, reverse=True):
        rest = told.removeprefix(label.casefold())
        if rest != told and not (rest[:1].isalnum() or rest[:1] in ("-", "_")):
            return label
    return None


def _deviations(window: CompressedWindow) -> list[str]:
    method = METHODS[window.method.partition("/")[0]]
    if not isinstance(method, EnergyMethod):
        return []
    spreads = (window.codes + 0.5 - MIDDLE) * (2 * RANGE / LEVELS)
    bands = spreads.reshape(len(window.channels), len(method.rows), method.n_segments).mean(axis=2)
    regions: dict[str, list[int]] = {}
    for row, electrode in enumerate(window.channels):
        if region := region_of(electrode):
            regions.setdefault(region, []).append(row)
    found = [
        (float(np.mean(bands[rows, column])), f"{region} {band}")
        for region, rows in regions.items()
        for column, band in enumerate(method.rows)
    ]
    notable = sorted((one for one in found if abs(one[0]) >= NOTABLE), key=lambda one: (-abs(one[0]), one[1]))
    if not notable:
        return ["Band energies stay near the person's own rest."]
    told = [f"{place} {'above' if size > 0 else 'below'} rest" for size, place in notable[:_MOST]]
    return [f"Against the person's own rest: {', '.join(told)}."]
