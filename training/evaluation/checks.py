"""What must hold of an evaluation whatever the corpus, and what of a corpus whose effects are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import msgspec
import numpy as np

from training.corpora.settings import Simulated
from training.corpora.simulated import IDENTICAL
from training.evaluation.cells import Answers, Cell
from training.evaluation.material import Place
from training.evaluation.measures import Float64, Int64, confusion, f1_of, macro_f1
from training.evaluation.protocols import PROTOCOLS
from training.evaluation.summary import answers_of
from training.evaluation.variants import AS_RECORDED, SHUFFLED

# Of all checks of one kind together: how often chance alone may fail a run that is right.
_LEVEL = 0.01
# Six pairs of clips can agree by chance in one run of 64: nothing rarer can be told from so few.
_LEVEL_IDENTICAL = 0.02
_DRAWS = 5000
# Enough to see p-values of the hundredth part of a hundredth.
_SIGN_DRAWS = 50_000
_HELD_OUT = "person-and-clip-held-out"


class Check(msgspec.Struct, frozen=True):
    """passed: None where it could not be judged, and `told` says why."""

    name: str
    passed: bool | None
    told: str

    def line(self) -> str:
        verdict = {True: "PASS", False: "FAIL", None: "NOT JUDGED"}[self.passed]
        return f"{verdict}  {self.name}: {self.told}"


class Pair(msgspec.Struct, frozen=True):
    """Two classes, told apart by the larger of their two scores; every person weighs the same."""

    one: str
    two: str
    identical: bool
    accuracy: float
    """Balanced: 0.5 is chance."""
    p: float
    """One-sided, of an accuracy this high by chance: signs of people's differences from 0.5 drawn anew."""


def checks(place: Place, cells: Sequence[Cell], quick: bool) -> Iterator[Check]:
    yield from _shuffled(place, cells)
    recipe = place.recipe
    if isinstance(recipe.corpus, Simulated) and recipe.corpus.classes == 9:
        for system in ("model", "svm-codes"):
            some = [c for c in cells if (c.protocol, c.variant, c.system) == (_HELD_OUT, AS_RECORDED, system)]
            if some:
                yield from _known(place, answers_of(place, some), system, quick)


def _shuffled(place: Place, cells: Sequence[Cell]) -> Iterator[Check]:
    """Under the drawn labels nothing can be found, unless test trials were seen in training."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.variant == SHUFFLED:
            groups.setdefault((cell.protocol, cell.system), []).append(cell)
    honest = [key for key in groups if not PROTOCOLS[groups[key][0].protocol].leaky]
    for (protocol, system), some in groups.items():
        a = answers_of(place, some)
        found = f1_of(a.label, a.logits.argmax(axis=1), len(place.recipe.labels))
        by_chance = _by_chance(a, len(place.recipe.labels), place.recipe.seed)
        if (protocol, system) not in honest:
            above = found > float(np.quantile(by_chance, 1 - _LEVEL))
            yield Check(
                f"shuffled EEG, {protocol} (LEAKY), {system}",
                None,
                f"macro-F1 {found:.3f}, chance {np.mean(by_chance):.3f}: "
                + ("the leak shows" if above else "this system does not show the leak"),
            )
            continue
        bound = float(np.quantile(by_chance, 1 - _LEVEL / len(honest)))
        yield Check(
            f"shuffled EEG is at chance, {protocol}, {system}",
            found <= bound,
            f"macro-F1 {found:.3f}, chance {np.mean(by_chance):.3f}, at most {bound:.3f} "
            f"({_DRAWS} draws of the trials' labels, 1 % for all such checks together)",
        )


def _by_chance(a: Answers, n: int, seed: int) -> Float64:
    """Macro-F1 of the same answers where the trials' labels are drawn again: (_DRAWS,).

    A trial's windows keep one label between them, so that they count as one draw, as they should.
    """
    rng = np.random.default_rng([seed, 2])
    trials, of_window = np.unique(np.char.add(np.char.add(a.subject, "\n"), a.trial), return_inverse=True)
    said = np.zeros((len(trials), n))  # answers of each kind in each trial
    np.add.at(said, (of_window, a.logits.argmax(axis=1)), 1)
    drawn = rng.integers(0, n, (_DRAWS, len(trials)))
    tables = np.stack([(drawn == label).astype(np.float64) @ said for label in range(n)], axis=1)
    return macro_f1(tables)


def _known(place: Place, a: Answers, system: str, quick: bool) -> Iterator[Check]:
    found = pairs(place, a)
    apart = [pair for pair in found if not pair.identical]
    level = _LEVEL / len(apart)
    missed = [f"{pair.one}/{pair.two} {pair.accuracy:.2f}" for pair in apart if pair.p > level]
    mean = np.mean([pair.accuracy for pair in apart])
    told = (
        f"{len(apart) - len(missed)} of {len(apart)} pairs above chance (p ≤ {level:.1e} each), "
        f"mean accuracy {mean:.3f}" + (f"; not found: {', '.join(missed)}" if missed else "")
    )
    # With few people no accuracy would be significant.
    enough = 2.0 ** -len(np.unique(a.subject)) <= level and not quick
    yield Check(
        f"classes made different are found, {_HELD_OUT}, {system}",
        not missed if enough else None,
        told if enough else f"too few people or too short a training; {told}",
    )
    p, units = identical(place, a)
    yield Check(
        f"classes made identical are at chance, {_HELD_OUT}, {system}",
        p > _LEVEL_IDENTICAL,
        ", ".join(f"{pair.one}/{pair.two} {pair.accuracy:.3f}" for pair in found if pair.identical)
        + f" (p = {p:.3f} over {units} pairs of clips, labels of clips exchanged)",
    )


def pairs(place: Place, a: Answers) -> list[Pair]:
    """All pairs of labels."""
    labels = place.recipe.labels
    rng = np.random.default_rng([place.recipe.seed, 3])
    signs = rng.choice([-1.0, 1.0], (_SIGN_DRAWS, len(np.unique(a.subject))))
    out = []
    for one, two in combinations(range(len(labels)), 2):
        by_person = []
        for subject in np.unique(a.subject):
            here = a.subject == subject
            by_person.append(_between(a.logits[here], a.label[here], one, two))
        gain = np.array([value - 0.5 for value in by_person if value is not None])
        if not len(gain):
            continue
        drawn = signs[:, : len(gain)] @ gain / len(gain)
        p = (1 + np.sum(drawn >= gain.mean() - 1e-12)) / (1 + len(drawn))
        same = {frozenset(pair) for pair in IDENTICAL}
        names = (labels[one], labels[two])
        out.append(Pair(*names, frozenset(names) in same, float(gain.mean() + 0.5), float(p)))
    return out


def identical(place: Place, a: Answers) -> tuple[float, int]:
    """p of the accuracies between identical classes, and over how many pairs of clips.

    Clips have looks of their own that all viewers share, so the clip is the unit, not the window or the
    person: within each group of clips held out together the two labels are exchanged, in all combinations.
    """
    labels = list(place.recipe.labels)
    stimulus = np.array([part.rsplit("/", 1)[1] for part in a.part])
    gains = []
    for pair in IDENTICAL:
        one, two = (labels.index(name) for name in pair)
        inside = np.isin(a.label, (one, two))
        groups: dict[tuple[str, ...], list[np.ndarray]] = {}
        for fold in np.unique(a.fold[inside]):
            here = inside & (a.fold == fold)
            groups.setdefault(tuple(np.unique(stimulus[here])), []).append(np.flatnonzero(here))
        for some in groups.values():
            rows: Int64 = np.concatenate(some)
            value = _between(a.logits[rows], a.label[rows], one, two)
            if value is not None:
                gains.append(value - 0.5)
    gain = np.array(gains)
    if not len(gain):
        return 1.0, 0
    flips = np.array(list(product((-1.0, 1.0), repeat=len(gain))))
    return float(((flips * gain).mean(axis=1) >= gain.mean() - 1e-12).mean()), len(gain)


def _between(logits: Float64, label: Int64, one: int, two: int) -> float | None:
    """Balanced accuracy between two labels; None where one of them was not shown."""
    inside = np.isin(label, (one, two))
    shown = (label[inside] == two).astype(np.int64)
    if len(np.unique(shown)) < 2:
        return None
    table = confusion(shown, (logits[inside, two] > logits[inside, one]).astype(np.int64), 2)
    return float((np.diagonal(table) / table.sum(axis=1)).mean())
