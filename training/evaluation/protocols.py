"""What is held out: four protocols, told by name wherever a figure is printed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, StratifiedKFold

from training.corpus import Example
from training.evaluation.measures import Int64
from training.evaluation.settings import Protocol


class NotPossibleError(Exception):
    """The corpus cannot be split so; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Rows of the corpus."""

    train: Int64
    test: Int64


@dataclass(frozen=True, slots=True)
class Held:
    """A protocol: whether its test windows share samples with training ones, and what it is in words."""

    leaky: bool
    told: str
    split: Callable[[Sequence[Example], Int64, int, int, int], list[Fold]]


def split(
    protocol: Protocol, examples: Sequence[Example], labels: Int64, folds: int, seed: int, clip_folds: int
) -> list[Fold]:
    """labels: by number, one an example. Windows cut at shifted times are trained on, never tested on.

    Raises NotPossibleError where the corpus is not of the kind, or too small.
    """
    if len(np.unique(labels)) < 2:
        raise NotPossibleError("fewer than two labels")
    return PROTOCOLS[protocol].split(examples, labels, folds, seed, clip_folds)


def _random_window(examples: Sequence[Example], labels: Int64, folds: int, seed: int, _: int) -> list[Fold]:
    rows = _regular(examples)
    _enough("windows of a label", int(np.bincount(labels[rows])[np.unique(labels)].min()), folds)
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, labels[rows])
    return [Fold(rows[train], rows[test]) for train, test in cut]


def _trial(examples: Sequence[Example], labels: Int64, folds: int, seed: int, _: int) -> list[Fold]:
    rows = np.array([i for i in _regular(examples) if examples[i].trial], dtype=np.int64)
    if not len(rows):
        raise NotPossibleError("the corpus names no trials")
    trials = np.array([_trial_of(example) for example in examples])
    _enough("trials", len(np.unique(trials[rows])), folds)
    cut = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, labels[rows], trials[rows])
    found = []
    for _train, test in cut:
        held = set(trials[rows[test]])
        # Windows that cross a border might share samples with a held-out trial.
        train = [i for i, e in enumerate(examples) if e.trial and trials[i] not in held]
        found.append(Fold(np.array(train), rows[test]))
    return found


def _person(examples: Sequence[Example], labels: Int64, folds: int, _seed: int, _: int) -> list[Fold]:
    rows = _regular(examples)
    people = np.array([example.subject for example in examples])
    _enough("people", len(np.unique(people[rows])), 2)
    n = min(folds, len(np.unique(people[rows])))
    return [
        Fold(np.flatnonzero(~np.isin(people, people[rows[test]])), rows[test])
        for _train, test in GroupKFold(n).split(rows, labels[rows], people[rows])
    ]


def _person_and_clip(
    examples: Sequence[Example], labels: Int64, folds: int, seed: int, clip_folds: int
) -> list[Fold]:
    if any(example.stimulus is None for example in examples):
        raise NotPossibleError("no stimulus stands behind the labels")
    clips: defaultdict[str, set[str]] = defaultdict(set)
    for example in examples:
        clips[example.label].add(str(example.stimulus))
    scarce = min(len(found) for found in clips.values())
    if scarce < 2:
        raise NotPossibleError("a label has a single clip: held out, nothing of it is left to train on")
    n = min(clip_folds, scarce)
    rng = np.random.default_rng(seed)
    group = {}
    for label in sorted(clips):
        for place, clip in enumerate(rng.permutation(sorted(clips[label]))):
            group[str(clip)] = place % n
    of_clip = np.array([group[str(example.stimulus)] for example in examples])
    people = np.array([example.subject for example in examples])
    found = []
    for i, held in enumerate(_person(examples, labels, folds, seed, clip_folds)):
        # Each group of people meets one group of clips: every person is tested on a part of the clips.
        test = held.test[of_clip[held.test] == i % n]
        train = held.train[of_clip[held.train] != i % n]
        if len(np.unique(labels[train])) < 2 or not len(test):
            raise NotPossibleError(f"too few clips and people: {len(group)} and {len(np.unique(people))}")
        found.append(Fold(train, test))
    return found


def _regular(examples: Sequence[Example]) -> Int64:
    return np.array([i for i, example in enumerate(examples) if not example.shifted], dtype=np.int64)


def _trial_of(example: Example) -> str:
    return f"{example.subject}\n{example.trial}"


def _enough(what: str, there: int, needed: int) -> None:
    if there < needed:
        raise NotPossibleError(f"{there} {what}, {needed} needed")


PROTOCOLS: dict[Protocol, Held] = {
    "random-window": Held(
        True,
        "windows drawn at random: neighbours overlap, so test windows share samples with training ones",
        _random_window,
    ),
    "trial-held-out": Held(
        False, "whole trials held out; the people and, where there are clips, the clips are known", _trial
    ),
    "person-held-out": Held(False, "people held out whole", _person),
    "person-and-clip-held-out": Held(
        False,
        "people and the clips they watch held out together, each person on a part of the clips",
        _person_and_clip,
    ),
}
