"""A part of a corpus as the systems meet it: examples, labels, and signals where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

from pipeline.calibration import MIDDLE
from training.corpus import Example
from training.evaluation.measures import Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """Signals beside the examples, one row each, over the electrodes that all sittings have.

    bands: (n, n_channels, n_bands), log µV². covariance: (n, n_channels, n_channels), µV²;
    whitened: the same, by the mean of the sitting's own rest.
    waves: float16 (n, n_channels, n_samples), µV; scale: (n, n_channels), spread of the channel at rest, µV.
    """

    bands: Float64
    covariance: Float64
    whitened: Float64
    waves: npt.NDArray[np.float16]
    scale: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """labels: by number, one an example. montage: all electrodes that an example may have."""

    examples: Sequence[Example]
    labels: Int64
    montage: tuple[str, ...]
    signals: Waves | None = None

    def __len__(self) -> int:
        return len(self.examples)

    def take(self, rows: Int64) -> Part:
        found = self.signals
        if found is not None:
            found = Waves(**{field.name: getattr(found, field.name)[rows] for field in fields(Waves)})
        return replace(
            self, examples=[self.examples[i] for i in rows], labels=self.labels[rows], signals=found
        )

    def waves(self) -> Waves:
        if self.signals is None:
            raise RuntimeError("this part was made without signals")
        return self.signals


def code_features(part: Part) -> Float64:
    """The codes as a vector over the whole montage; a missing electrode shows no deviation. (n, features)."""
    place = {name: row for row, name in enumerate(part.montage)}
    width = max(example.window.codes.shape[1] for example in part.examples)
    grid = np.full((len(part), len(part.montage), width), float(MIDDLE))
    for out, example in zip(grid, part.examples, strict=True):
        out[[place[name] for name in example.window.channels]] = example.window.codes
    return grid.reshape(len(part), -1)


def person_features(part: Part) -> Float64:
    """What the prompt tells of a person: age in decades and gender, each unknown where it is. (n, 5)."""
    rows = [
        (
            -1.0 if e.person.age is None else e.person.age // 10,
            e.person.age is None,
            e.person.gender == "female",
            e.person.gender == "male",
            e.person.gender is None,
        )
        for e in part.examples
    ]
    return np.array(rows, dtype=np.float64)


def features(part: Part) -> Float64:
    """Of the codes where there are any, else of the person alone."""
    if part.examples[0].window.codes.shape[0] == 0:
        return person_features(part)
    return code_features(part)


def thinned(labels: Int64, most: int) -> Int64:
    """At most about so many rows, spaced evenly within each label, whose shares stay; all where `most` is 0.

    Every label keeps a row, so that a model can be trained on what is left.
    """
    if not most or len(labels) <= most:
        return np.arange(len(labels), dtype=np.int64)
    kept = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        kept.append(rows[evenly(len(rows), max(1, round(most * len(rows) / len(labels))))])
    return np.sort(np.concatenate(kept))


def evenly(n: int, most: int) -> Int64:
    """At most so many of n rows, evenly spaced; all of them where `most` is 0."""
    if not most or n <= most:
        return np.arange(n, dtype=np.int64)
    return np.linspace(0, n - 1, most).astype(np.int64)
