"""From the answers of all cells to figures: one row a protocol, variant and system."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import log_softmax, softmax

from training.evaluation.cells import Answers, Cell, budget, load
from training.evaluation.material import Place
from training.evaluation.measures import (
    Float64,
    Int64,
    Resampled,
    Scores,
    Text,
    calibration_error,
    confusion,
    cross_fitted,
    f1_of,
    fit_temperature,
    reliability,
    stretches,
)
from training.evaluation.protocols import PROTOCOLS
from training.evaluation.settings import Budget
from training.evaluation.variants import AS_RECORDED, MONTAGE
from training.recipe import Recipe

_BASELINE = "svm-codes"


class Figures(msgspec.Struct, frozen=True):
    """Of one system under one protocol, over all folds."""

    protocol: str
    leaky: bool
    variant: str
    system: str
    folds: int
    people: int
    windows: int
    trained_on: int
    """Windows, mean over the folds."""
    scores: Scores
    stretch: Scores | None
    """One answer for each stretch of `[evaluate] stretch` seconds; None where windows fill none."""
    stretches: int
    calibration_error: float
    """Expected calibration error, 10 bins; each fold at the temperature that fits the other folds."""
    calibration_error_untempered: float
    temperature: float
    """That fits all held-out logits at once."""
    reliability: list[tuple[float, float, float]]
    """Of each bin of confidence: share of windows, mean confidence, accuracy."""
    per_person: dict[str, float]
    confusion: list[list[int]]
    minus_svm: tuple[float, float, float] | None
    """Macro-F1 less that of the SVM on the same codes and windows: value, bounds of 95 % of resamples."""
    minus_svm_stretch: tuple[float, float, float] | None
    budget: Budget
    """What the training and the asking were shortened to."""


def gather(place: Place, cells: Sequence[Cell]) -> tuple[list[Figures], dict[str, float]]:
    """Figures of the cells given, and the median seconds of an answer by `protocol/variant/system`."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.protocol, cell.variant, cell.system), []).append(cell)
    told = {key: answers_of(place, some) for key, some in groups.items()}
    found, seconds = [], {}
    for key, some in groups.items():
        svm = told.get((key[0], key[1], _BASELINE)) if key[2] != _BASELINE else None
        found.append(_figures(place, some, told[key], svm))
        seconds["/".join(key)] = float(np.median([float(load(place, cell).seconds) for cell in some]))
    return found, seconds


def answers_of(place: Place, cells: Sequence[Cell]) -> Answers:
    """The answers of several folds as one."""
    parts = [load(place, cell) for cell in cells]
    names = ("subject", "trial", "part", "label", "start_s", "end_s", "logits", "fold")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    trained = np.array(np.mean([float(part.trained_on) for part in parts]))
    return Answers(trained_on=trained, seconds=np.array(0.0), **joined)


def _figures(place: Place, cells: list[Cell], a: Answers, svm: Answers | None) -> Figures:
    recipe, cell = place.recipe, cells[0]
    how, n = recipe.evaluate, len(recipe.labels)
    drawn = Resampled(a.subject, recipe.seed, how.resamples)
    guess = a.logits.argmax(axis=1)
    p, _ = cross_fitted(a.logits, a.label, a.fold)
    of_all = fit_temperature(a.logits, a.label)
    long, gain_long = _stretch_figures(a, svm, recipe)
    return Figures(
        protocol=cell.protocol,
        leaky=PROTOCOLS[cell.protocol].leaky,
        variant=cell.variant,
        system=cell.system,
        folds=len(cells),
        people=len(drawn.names),
        windows=len(a.label),
        trained_on=round(float(a.trained_on)),
        scores=drawn.scores(a.label, guess, n),
        stretch=long[0] if long else None,
        stretches=long[1] if long else 0,
        calibration_error=calibration_error(p, a.label),
        calibration_error_untempered=calibration_error(softmax(a.logits, axis=1), a.label),
        temperature=of_all,
        reliability=reliability(p, a.label),
        per_person=drawn.per_person(a.label, guess, n),
        confusion=confusion(a.label, guess, n).tolist(),
        minus_svm=_gain(drawn, a, svm, n),
        minus_svm_stretch=gain_long,
        budget=budget(place, cell) if cell.system == "model" else Budget(),
    )


def _gain(drawn: Resampled, a: Answers, svm: Answers | None, n: int) -> tuple[float, float, float] | None:
    """On the windows that both were asked about: the model may have been asked about fewer."""
    if svm is None:
        return None
    return drawn.gain(a.label, a.logits.argmax(axis=1), _beside(a, svm).argmax(axis=1), n)


def _beside(a: Answers, other: Answers) -> Float64:
    """The other's logits for the windows of `a`."""
    rows = {key: row for row, key in enumerate(_keys(other))}
    return other.logits[[rows[key] for key in _keys(a)]]


def _keys(a: Answers) -> list[tuple[str, str, float]]:
    return list(zip(a.subject.tolist(), a.part.tolist(), a.start_s.tolist(), strict=True))


def _stretch_figures(
    a: Answers, svm: Answers | None, recipe: Recipe
) -> tuple[tuple[Scores, int] | None, tuple[float, float, float] | None]:
    """One answer a stretch: the label with the largest mean log-probability over its windows."""
    found = stretches(a.subject, [(part,) for part in a.part], a.start_s, a.end_s, recipe.evaluate.stretch)
    if not found:
        return None, None
    n = len(recipe.labels)
    subject, label = (np.array([column[rows[0]] for rows in found]) for column in (a.subject, a.label))
    drawn = Resampled(subject, recipe.seed, recipe.evaluate.resamples)
    guess = votes(a.logits, found)
    scores = drawn.scores(label, guess, n), len(found)
    if svm is None:
        return scores, None
    return scores, drawn.gain(label, guess, votes(_beside(a, svm), found), n)


def votes(logits: Float64, groups: Sequence[Int64]) -> Int64:
    """Of each group of rows, the label with the largest mean log-probability."""
    told = log_softmax(logits, axis=1)
    return np.array([told[rows].mean(axis=0).argmax() for rows in groups])


class SmallMontage(msgspec.Struct, frozen=True):
    """The model of each fold on the held-out people, with these electrodes alone and referenced to them."""

    electrodes: tuple[str, ...]
    macro_f1: float


class Evaluation(msgspec.Struct, frozen=True):
    """What a bundle tells of its model: people held out, the model and an SVM in the same folds."""

    people: int
    windows: int
    folds: int
    model: Scores
    svm: Scores
    model_minus_svm: tuple[float, float, float]
    """Macro-F1 of the model less that of the SVM: value, and bounds of 95 % of resamples of people."""
    per_person_low: float
    """Macro-F1 of the person it serves worst."""
    vote_macro_f1: float
    """One vote a recording: the label with the largest mean log-probability over it."""
    temperature: float
    """That fits all held-out logits: what is shipped."""
    calibration_error: float
    """Expected calibration error, 10 bins, each fold at the temperature that fits the other folds."""
    montages: dict[str, SmallMontage] = {}
    stretch_macro_f1: float | None = None
    """One answer for 30 s, as the report defines it."""


def bundle_evaluation(place: Place, cells: Sequence[Cell]) -> Evaluation | None:
    """None where the model or the SVM was not asked with people held out."""
    held = [cell for cell in cells if cell.protocol == "person-held-out"]

    def of(variant: str, system: str) -> list[Cell]:
        return [cell for cell in held if (cell.variant, cell.system) == (variant, system)]

    model, svm = of(AS_RECORDED, "model"), of(AS_RECORDED, _BASELINE)
    if not model or not svm:
        return None
    a = answers_of(place, model)
    b = _beside(a, answers_of(place, svm))
    found = summarise(place.recipe, a.label, a.subject, a.logits, b.argmax(axis=1), a.fold)
    small = {}
    for name, electrodes in place.recipe.montages.items():
        if some := of(MONTAGE + name, "model"):
            other = answers_of(place, some)
            f1 = f1_of(other.label, other.logits.argmax(axis=1), len(place.recipe.labels))
            small[name] = SmallMontage(electrodes, f1)
    long, _ = _stretch_figures(a, None, place.recipe)
    return msgspec.structs.replace(found, montages=small, stretch_macro_f1=long[0].macro_f1 if long else None)


def summarise(
    recipe: Recipe, labels: Int64, people: Text, logits: Float64, svm: Int64, folds: Int64
) -> Evaluation:
    """svm: its answers; folds: in which each window was held out."""
    n, guess = len(recipe.labels), logits.argmax(axis=1)
    drawn = Resampled(people, recipe.seed, recipe.evaluate.resamples)
    groups = [
        np.flatnonzero((people == person) & (labels == label))
        for person in np.unique(people)
        for label in np.unique(labels)
    ]
    groups = [group for group in groups if len(group)]
    p, _ = cross_fitted(logits, labels, folds)
    return Evaluation(
        people=len(drawn.names),
        windows=len(labels),
        folds=len(np.unique(folds)),
        model=drawn.scores(labels, guess, n),
        svm=drawn.scores(labels, svm, n),
        model_minus_svm=drawn.gain(labels, guess, svm, n),
        per_person_low=min(drawn.per_person(labels, guess, n).values()),
        vote_macro_f1=f1_of(np.array([labels[group][0] for group in groups]), votes(logits, groups), n),
        temperature=fit_temperature(logits, labels),
        calibration_error=calibration_error(p, labels),
    )
