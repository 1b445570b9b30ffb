"""The unit of work: one system, trained and asked in one fold; its answers are one whole file."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from training import arrays
from training.corpus import Example
from training.evaluation import systems
from training.evaluation.material import Material, Place
from training.evaluation.measures import Float64, Int64, Text
from training.evaluation.part import Part, evenly, thinned
from training.evaluation.protocols import Fold, split
from training.evaluation.settings import Budget, Protocol, System
from training.evaluation.variants import AS_RECORDED, variant_of

# Raised when the same settings come to mean another result.
_VERSION = 2
# Windows whose answers are timed one by one.
_TIMED = 5


@dataclass(frozen=True, slots=True)
class Cell:
    protocol: Protocol
    variant: str
    system: System
    fold: int

    def path(self, folder: Path) -> Path:
        slug = "".join(c if c.isalnum() or c in "-." else "_" for c in self.variant)
        return folder / self.protocol / slug / f"{self.system}-{self.fold}.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a system said of the windows held out, one row each; all that is known of a window is beside it.

    label: what it shows, by number. logits: (n, n_labels). part: what must be the same within 30 s, as
    text: its sitting, segment, label and stimulus.
    seconds: median time of one answer, from the window's features on.
    """

    subject: Text
    trial: Text
    part: Text
    label: Int64
    start_s: Float64
    end_s: Float64
    logits: Float64
    fold: Int64
    trained_on: Int64
    seconds: Float64


def fingerprint(place: Place, cell: Cell) -> str:
    """Of everything that decides a cell's answers."""
    recipe = place.recipe
    how = recipe.evaluate
    variant = variant_of(place.recipe, cell.variant)
    told = (
        _VERSION,
        msgspec.to_builtins(cell),
        msgspec.to_builtins((recipe.labels, recipe.seed, recipe.folds, recipe.pipeline)),
        msgspec.to_builtins((recipe.model, recipe.fit, recipe.augment)) if cell.system == "model" else None,
        msgspec.to_builtins(budget(place, cell)) if cell.system == "model" else None,
        how.eegnet_steps if cell.system == "eegnet" else None,
        how.clip_folds,
        how.people,
        place.fingerprint(variant),
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def budget(place: Place, cell: Cell) -> Budget:
    name = cell.protocol if cell.variant == AS_RECORDED else cell.variant
    return place.recipe.evaluate.budgets.get(name, Budget())


def done(place: Place, cell: Cell) -> bool:
    """Whether its answers are there, whole, and those of these settings."""
    return arrays.fingerprint_of(cell.path(place.folder), Answers) == fingerprint(place, cell)


def load(place: Place, cell: Cell) -> Answers:
    return arrays.load(cell.path(place.folder), Answers)


class Bench:
    """Does cells, one after the other, in one process."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._material = Material(place)
        self._folds = lru_cache(maxsize=8)(self._split)

    def folds(self, protocol: Protocol, variant: str) -> list[Fold]:
        """Raises NotPossibleError."""
        return self._folds(protocol, variant)

    def do(self, cell: Cell, montages: tuple[Cell, ...] = ()) -> None:
        """montages: cells of the same model on the same held-out people, under smaller headsets."""
        variant = variant_of(self._place.recipe, cell.variant)
        fold = self.folds(cell.protocol, cell.variant)[cell.fold]
        how = budget(self._place, cell) if cell.system == "model" else Budget()
        signals = cell.system != "model" and systems.TOLD[cell.system].signals
        labels = self._material.labels(self._material.examples(variant))
        rows = fold.train[thinned(labels[fold.train], how.train_windows)]
        train = self._material.part(variant, rows, fold.train, signals=signals)
        reader = self._train(cell, train, how)
        rows = fold.test[thinned(labels[fold.test], how.test_windows)]
        test = self._material.part(variant, rows, fold.train, signals=signals)
        self._write(cell, reader, test, len(train))
        for other in montages:
            small = variant_of(self._place.recipe, other.variant)
            held = self.folds(other.protocol, other.variant)[other.fold]
            rows = held.test[evenly(len(held.test), how.test_windows)]
            self._write(
                other, reader, self._material.part(small, rows, held.train, signals=False), len(train)
            )

    def _train(self, cell: Cell, train: Part, how: Budget) -> systems.Reader:
        recipe = self._place.recipe
        if cell.system == "model":
            # Late: the baselines do without a language model.
            from training.evaluation.model_reader import ModelReader

            return ModelReader(recipe, train, how.epochs, f"{cell.protocol} {cell.variant} {cell.fold + 1}")
        return systems.train(
            cell.system, train, len(recipe.labels), recipe.seed, recipe.evaluate.eegnet_steps
        )

    def _write(self, cell: Cell, reader: systems.Reader, test: Part, trained_on: int) -> None:
        spans = [example.window.span for example in test.examples]
        answers = Answers(
            subject=np.array([example.subject for example in test.examples]),
            trial=np.array([example.trial for example in test.examples]),
            part=np.array([_part(example) for example in test.examples]),
            label=test.labels,
            start_s=np.array([span.start_s for span in spans]),
            end_s=np.array([span.end_s for span in spans]),
            logits=reader.logits(test),
            fold=np.full(len(test), cell.fold),
            trained_on=np.array(trained_on),
            seconds=np.array(_seconds(reader, test)),
        )
        arrays.keep(cell.path(self._place.folder), answers, fingerprint(self._place, cell))

    def _split(self, protocol: Protocol, name: str) -> list[Fold]:
        recipe = self._place.recipe
        examples = self._material.examples(variant_of(self._place.recipe, name))
        labels = self._material.labels(examples)
        return split(protocol, examples, labels, recipe.folds, recipe.seed, recipe.evaluate.clip_folds)


def _part(example: Example) -> str:
    return f"{example.sitting}/{example.window.span.segment}/{example.label}/{example.stimulus or ''}"


def _seconds(reader: systems.Reader, test: Part) -> float:
    """Median over a few windows, each asked by itself, after one that warms up."""
    took = []
    for row in evenly(len(test), _TIMED + 1):
        one = test.take(np.array([row]))
        begun = time.perf_counter()
        reader.logits(one)
        took.append(time.perf_counter() - begun)
    return float(np.median(took[1:] or took))
