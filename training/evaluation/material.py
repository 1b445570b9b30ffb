"""What the systems are shown: a variant's windows of a fold, and their signals where they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from pyriemann.geometry.base import invsqrtm
from pyriemann.geometry.mean import mean_riemann

from training import corpus
from training.corpora import manifest
from training.corpus import Example, load_corpus
from training.evaluation.measures import Float64, Int64
from training.evaluation.part import Part, Waves
from training.evaluation.variants import (
    AS_RECORDED,
    DEMOGRAPHICS,
    SHUFFLED,
    UNCALIBRATED,
    Variant,
    shuffled,
    uncalibrated,
    without_eeg,
)
from training.recipe import Recipe
from training.signals import Signals, aligned, load_signals, rows_of

# Spread of a channel that did not move at rest, µV: keeps a division finite.
_LEAST_SPREAD = 1e-3
PLAIN = Variant(AS_RECORDED, "", (), ())


@dataclass(frozen=True, slots=True)
class Place:
    """A recipe and the folder of its results."""

    recipe: Recipe
    out: Path

    @property
    def folder(self) -> Path:
        return self.out / "evaluation"

    @property
    def signals(self) -> Path:
        """The folder of the sittings' signals."""
        return self.folder / "signals"

    def corpus(self, variant: Variant) -> tuple[Recipe, Path, str]:
        """Under which recipe, in which folder and as which montage a variant's corpus is made."""
        if variant.compression is None or variant.compression == self.recipe.pipeline.compression:
            return self.recipe, self.out / "corpus", variant.montage or ""
        pipeline = msgspec.structs.replace(self.recipe.pipeline, compression=variant.compression)
        other = msgspec.structs.replace(self.recipe, pipeline=pipeline)
        return other, self.out / f"corpus-{variant.compression}", ""

    def fingerprint(self, variant: Variant = PLAIN) -> str:
        """Of the bytes of a variant's corpus and all that decided them."""
        _, folder, montage = self.corpus(variant)
        return hashlib.sha256((corpus.place(folder, montage) / manifest.NAME).read_bytes()).hexdigest()


def first_people(subjects: Sequence[str], most: int) -> set[str]:
    """The first by name; all where `most` is 0."""
    return set(sorted(set(subjects))[: most or None])


class Material:
    """Read once in each process; `part` hands out what a system sees."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._examples: dict[str, list[Example]] = {}

    def examples(self, variant: Variant) -> list[Example]:
        """Of the people compared, the shifted ones behind. Of the ablations only the shuffle is done."""
        if variant.name not in self._examples:
            recipe, folder, montage = self._place.corpus(variant)
            kept = load_corpus(folder, recipe, montage=montage)
            used = first_people([e.subject for e in kept.examples], recipe.evaluate.people)
            found = [e for e in [*kept.examples, *kept.shifted] if e.subject in used]
            if variant.name == SHUFFLED:
                found = shuffled(found, recipe.labels, recipe.seed)
            self._examples[variant.name] = found
        return self._examples[variant.name]

    def labels(self, examples: Sequence[Example]) -> Int64:
        number = {label: i for i, label in enumerate(self._place.recipe.labels)}
        return np.array([number[example.label] for example in examples], dtype=np.int64)

    def part(self, variant: Variant, rows: Int64, train: Int64, *, signals: bool) -> Part:
        """Rows of the variant's examples. train: rows trained on; an ablation may learn from their people.

        Where signals are needed, examples without any, cut at shifted times, are left out.
        """
        everything = self.examples(variant)
        examples = [everything[i] for i in rows]
        recipe, _, _ = self._place.corpus(variant)
        montage = recipe.montages[variant.montage] if variant.montage else recipe.pipeline.montage
        if variant.name == DEMOGRAPHICS:
            examples = [without_eeg(example) for example in examples]
        if not signals and variant.name != UNCALIBRATED:
            return Part(examples, self.labels(examples), montage)
        at = self._rows(examples)
        examples = [example for example, (_, row) in zip(examples, at, strict=True) if row >= 0]
        at = [place for place in at if place[1] >= 0]
        if variant.name == UNCALIBRATED:
            people = {everything[i].subject for i in train}
            method = recipe.pipeline.compression
            examples = uncalibrated(examples, at, self._signals(), people, method)
        return Part(examples, self.labels(examples), montage, self._waves(at) if signals else None)

    def _rows(self, examples: Sequence[Example]) -> list[tuple[str, int]]:
        """Of each example: the sitting whose signals are its own, and the row there, -1 for none."""
        by_sitting: dict[str, list[int]] = {}
        for i, example in enumerate(examples):
            by_sitting.setdefault(example.sitting, []).append(i)
        found = [("", -1)] * len(examples)
        for sitting, here in by_sitting.items():
            rows = rows_of(self._signals()[sitting], [examples[i] for i in here])
            for i, row in zip(here, rows, strict=True):
                found[i] = (sitting, row)
        return found

    def _waves(self, at: Sequence[tuple[str, int]]) -> Waves:
        signals = self._signals()
        spread = {sitting: _spread(signals[sitting]) for sitting in {sitting for sitting, _ in at}}
        whiten = self._whiteners()
        return Waves(
            bands=np.stack([signals[sitting].bands[row] for sitting, row in at]),
            covariance=np.stack([signals[sitting].covariance[row] for sitting, row in at]),
            whitened=np.stack(
                [whiten[sitting] @ signals[sitting].covariance[row] @ whiten[sitting] for sitting, row in at]
            ),
            waves=np.stack([signals[sitting].waves[row] for sitting, row in at]),
            scale=np.stack([spread[sitting] for sitting, _ in at]),
        )

    @lru_cache(maxsize=1)  # noqa: B019 - a material lives as long as its process
    def _whiteners(self) -> dict[str, Float64]:
        return {sitting: _whitener(signals) for sitting, signals in self._signals().items()}

    @lru_cache(maxsize=1)  # noqa: B019 - likewise
    def _signals(self) -> dict[str, Signals]:
        return aligned([load_signals(path) for path in sorted(self._place.signals.glob("*.npz"))])


def _whitener(signals: Signals) -> Float64:
    """Makes the mean covariance of the sitting's own rest the identity: (n_channels, n_channels), 1/µV."""
    return np.asarray(invsqrtm(mean_riemann(signals.covariance[signals.rest])))


def _spread(signals: Signals) -> Float64:
    """Of each channel over the sitting's own rest, µV: (n_channels,)."""
    rest = signals.waves[signals.rest].astype(np.float64)
    return np.asarray(np.maximum(rest.std(axis=(0, 2)), _LEAST_SPREAD))
