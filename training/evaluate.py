"""People the model never saw: grouped folds, the model and a baseline on the same codes in the same folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tokenizers import Tokenizer

from pipeline.calibration import MIDDLE
from training.corpus import Example
from training.fit import LabelScorer, fit, scores
from training.recipe import Recipe

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]
_BINS = 10
_RESAMPLES = 2000


class Scores(msgspec.Struct, frozen=True):
    """Of one reader on held-out people; `low` and `high` bound 95 % of resamples of people."""

    macro_f1: float
    low: float
    high: float
    accuracy: float
    kappa: float


class SmallMontage(msgspec.Struct, frozen=True):
    """The model of each fold on the held-out people, with these electrodes alone and referenced to them."""

    electrodes: tuple[str, ...]
    macro_f1: float


class Evaluation(msgspec.Struct, frozen=True):
    """One cross-validation over people."""

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
    calibration_error: float
    """Expected calibration error, 10 bins, at that temperature."""
    montages: dict[str, SmallMontage] = {}


def cross_validate(
    recipe: Recipe,
    tokenizer: Tokenizer,
    corpus: Sequence[Example],
    small: Mapping[str, Sequence[Example]],
    device: torch.device,
) -> Evaluation:
    """Trains anew in each fold; nothing of a held-out person is seen in training.

    small: by montage, the windows of the same people as a smaller headset would give them.
    """
    labels = np.array([recipe.labels.index(example.label) for example in corpus])
    people = np.array([example.subject for example in corpus])
    features = np.stack([_features(example, recipe) for example in corpus])
    scorer = LabelScorer(tokenizer, recipe.labels, device)
    logits = np.zeros((len(corpus), len(recipe.labels)))
    svm = np.zeros(len(corpus), dtype=np.int64)
    seen: dict[str, list[tuple[int, int]]] = {name: [] for name in small}  # label, guess
    for fold, (train, test) in enumerate(GroupKFold(recipe.folds).split(features, labels, people)):
        model = fit(recipe, tokenizer, [corpus[i] for i in train], device, f"fold {fold + 1}/{recipe.folds}")
        logits[test] = scores(model, scorer, [corpus[i] for i in test])
        baseline = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
        svm[test] = baseline.fit(features[train], labels[train]).predict(features[test])
        held_out = set(people[test])
        for name, windows in small.items():
            theirs = [example for example in windows if example.subject in held_out]
            guess = scores(model, scorer, theirs).argmax(axis=1)
            seen[name] += [(recipe.labels.index(e.label), int(g)) for e, g in zip(theirs, guess, strict=True)]
    montages = {
        name: SmallMontage(recipe.montages[name], _macro_f1(*np.array(pairs).T))
        for name, pairs in seen.items()
    }
    return msgspec.structs.replace(summarise(recipe, labels, people, logits, svm), montages=montages)


def summarise(
    recipe: Recipe, labels: _Int64, people: npt.NDArray[np.str_], logits: _Float64, svm: _Int64
) -> Evaluation:
    guess = logits.argmax(axis=1)
    temperature = fit_temperature(logits, labels)
    p = softmax(logits / temperature, axis=1)
    drawn = list(_resamples(people, recipe.seed))
    gain = [_macro_f1(labels[i], guess[i]) - _macro_f1(labels[i], svm[i]) for i in drawn]
    groups = [
        (people == person) & (labels == label) for person in np.unique(people) for label in np.unique(labels)
    ]
    groups = [group for group in groups if group.any()]
    votes = np.array([log_softmax(logits[group], axis=1).mean(axis=0).argmax() for group in groups])
    return Evaluation(
        people=len(np.unique(people)),
        windows=len(labels),
        folds=recipe.folds,
        model=_scores(labels, guess, drawn),
        svm=_scores(labels, svm, drawn),
        model_minus_svm=(
            _macro_f1(labels, guess) - _macro_f1(labels, svm),
            float(np.quantile(gain, 0.025)),
            float(np.quantile(gain, 0.975)),
        ),
        per_person_low=min(_macro_f1(labels[people == x], guess[people == x]) for x in np.unique(people)),
        vote_macro_f1=_macro_f1(np.array([labels[group][0] for group in groups]), votes),
        temperature=temperature,
        calibration_error=calibration_error(p, labels),
    )


def fit_temperature(logits: _Float64, labels: _Int64) -> float:
    """The divisor of the logits under which held-out labels are likeliest (Guo et al., 2017)."""

    def loss(log_t: float) -> float:
        told = log_softmax(logits / np.exp(log_t), axis=1)
        return float(-told[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 3.0), method="bounded").x))


def calibration_error(p: _Float64, labels: _Int64) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins of confidence."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        (bins == b).mean() * abs(confidence[bins == b].mean() - right[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


def _features(example: Example, recipe: Recipe) -> _Float64:
    """The codes as a vector over the whole montage; a missing electrode shows no deviation."""
    window = example.window
    grid = np.full((len(recipe.pipeline.montage), window.codes.shape[1]), float(MIDDLE))
    grid[[recipe.pipeline.montage.index(name) for name in window.channels]] = window.codes
    return grid.ravel()


def _macro_f1(labels: _Int64, guess: _Int64) -> float:
    return float(f1_score(labels, guess, average="macro"))


def _scores(labels: _Int64, guess: _Int64, drawn: list[_Int64]) -> Scores:
    spread = [_macro_f1(labels[i], guess[i]) for i in drawn]
    return Scores(
        macro_f1=_macro_f1(labels, guess),
        low=float(np.quantile(spread, 0.025)),
        high=float(np.quantile(spread, 0.975)),
        accuracy=float(accuracy_score(labels, guess)),
        kappa=float(cohen_kappa_score(labels, guess)),
    )


def _resamples(people: npt.NDArray[np.str_], seed: int) -> list[_Int64]:
    """Bootstrap over people, not windows: windows of one person are not independent."""
    rng = np.random.default_rng(seed)
    where = [np.flatnonzero(people == person) for person in np.unique(people)]
    return [
        np.concatenate([where[i] for i in rng.integers(0, len(where), len(where))]) for _ in range(_RESAMPLES)
    ]
