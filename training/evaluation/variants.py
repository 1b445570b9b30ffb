"""Ablations: what is taken from the windows, or done to them, before any system sees them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.calibration import Calibration, quantise
from pipeline.wavelet import METHODS
from training.corpus import Example, subset
from training.evaluation.settings import Protocol, System
from training.recipe import Recipe
from training.signals import Signals

AS_RECORDED = "as-recorded"
DEMOGRAPHICS, SHUFFLED, UNCALIBRATED = "demographics", "shuffled", "uncalibrated"
MONTAGE = "montage: "
# Longer lines are told in parts, as the paper's compression by segments does (its Figure 8).
_LONGEST_LINE = 50
_COMPARED: tuple[System, ...] = ("model", "svm-codes")
_HELD_OUT: tuple[Protocol, ...] = ("person-held-out",)


@dataclass(frozen=True, slots=True)
class Variant:
    """told: what was done, precisely, for the report."""

    name: str
    told: str
    protocols: tuple[Protocol, ...]
    systems: tuple[System, ...]

    @property
    def compression(self) -> str | None:
        return self.name if self.name in METHODS else None

    @property
    def montage(self) -> str | None:
        return self.name.removeprefix(MONTAGE) if self.name.startswith(MONTAGE) else None


def variants(recipe: Recipe) -> Iterator[Variant]:
    """Everything the recipe asks to compare, what is as recorded first."""
    how = recipe.evaluate
    yield Variant(AS_RECORDED, "the windows as they are", how.protocols, how.systems)
    compared = tuple(system for system in _COMPARED if system in how.systems)
    held_out = tuple(protocol for protocol in _HELD_OUT if protocol in how.protocols)
    if how.shuffled:
        yield Variant(
            SHUFFLED,
            "each trial's label is drawn anew, all labels equally likely and without regard to its signal, "
            "and is the same for all its windows, in training and in test; windows that cross a trial's "
            "border are left out. There is nothing to be found but the trials themselves",
            how.protocols,
            compared,
        )
    if how.demographics:
        yield Variant(DEMOGRAPHICS, "age group and gender alone, no line of an electrode", held_out, compared)
    if how.uncalibrated:
        yield Variant(
            UNCALIBRATED,
            "codes as deviations from the mean rest of the people trained on, in its spread between windows, "
            "not from the person's own rest",
            held_out,
            compared,
        )
    for name in how.compressions:
        if name != recipe.pipeline.compression:
            yield Variant(
                name, f"compressed by {name} in place of {recipe.pipeline.compression}", held_out, compared
            )
    for name, electrodes in recipe.montages.items():
        yield Variant(
            MONTAGE + name,
            f"filtered, referenced and calibrated on {', '.join(electrodes)} alone; the model is the one "
            "trained on all electrodes, the SVM is trained on these",
            held_out,
            compared,
        )


def variant_of(recipe: Recipe, name: str) -> Variant:
    return next(variant for variant in variants(recipe) if variant.name == name)


def without_eeg(example: Example) -> Example:
    return dataclasses.replace(example, window=subset(example, []))


def shuffled(examples: Sequence[Example], labels: tuple[str, ...], seed: int) -> list[Example]:
    """Every trial's label drawn anew; examples that belong to no trial are left out."""
    rng = np.random.default_rng([seed, 1])
    trials = sorted({(example.subject, example.trial) for example in examples if example.trial})
    drawn = dict(zip(trials, rng.choice(labels, len(trials)), strict=True))
    return [
        dataclasses.replace(example, label=str(drawn[example.subject, example.trial]))
        for example in examples
        if example.trial
    ]


def uncalibrated(
    examples: Sequence[Example],
    at: Sequence[tuple[str, int]],
    signals: dict[str, Signals],
    train: set[str],
    compression: str,
) -> list[Example]:
    """Codes against the mean rest of the people in `train`, by the arithmetic of the calibration itself.

    at: of each example its sitting and the row in its signals. signals: by sitting, channels alike.
    """
    rest = Calibration(METHODS[compression].prior_spread)
    for found in (signals[name] for name in sorted(signals) if str(signals[name].subject) in train):
        for features, good in zip(found.features[found.rest], found.good[found.rest], strict=True):
            rest.add(features, good)
    if not rest.finish():
        raise ValueError("no usable rest in the training part")
    out = []
    for example, (sitting, row) in zip(examples, at, strict=True):
        found = signals[sitting]
        place = {str(name): i for i, name in enumerate(found.channels)}
        codes = quantise(rest.deviations(found.features[row])).reshape(len(place), -1)
        window = subset(example, [i for i, name in enumerate(example.window.channels) if name in place])
        window = dataclasses.replace(window, codes=codes[[place[name] for name in window.channels]])
        out.append(dataclasses.replace(example, window=window))
    return out


def prompts(example: Example) -> list[Example]:
    """The examples that a model reads for this one: the window whole, or its segments one by one."""
    width = example.window.codes.shape[1]
    if width <= _LONGEST_LINE:
        return [example]
    parts = np.split(example.window.codes, width // _LONGEST_LINE, axis=1)
    return [
        dataclasses.replace(example, window=dataclasses.replace(example.window, codes=part)) for part in parts
    ]
