"""Figures of a reader, with the uncertainty that comes from whom we happened to record."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Text = npt.NDArray[np.str_]
BINS = 10


class Scores(msgspec.Struct, frozen=True):
    """Of one reader on held-out data; `low` and `high` bound 95 % of resamples of people."""

    macro_f1: float
    low: float
    high: float
    accuracy: float
    kappa: float


def confusion(labels: Int64, guess: Int64, n: int) -> Int64:
    """(n, n) counts: rows were shown, columns said. A guess of -1, no answer, is left out."""
    answered = guess >= 0
    table: Int64 = np.bincount(labels[answered] * n + guess[answered], minlength=n * n).reshape(n, n)
    return table


def macro_f1(tables: npt.NDArray[np.number], unanswered: npt.NDArray[np.number] | float = 0) -> Float64:
    """Of confusion tables (…, n, n): unweighted mean of F1 over the labels that were shown or said: (…,).

    unanswered: (…, n), windows of each label that got no answer; they count as misses.
    """
    right = np.diagonal(tables, axis1=-2, axis2=-1)
    size = tables.sum(axis=-1) + unanswered + tables.sum(axis=-2)
    seen = size > 0
    f1 = np.divide(2 * right, size, out=np.zeros(right.shape), where=seen)
    found: Float64 = f1.sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)
    return found


def f1_of(labels: Int64, guess: Int64, n: int) -> float:
    missed = np.bincount(labels[guess < 0], minlength=n)
    return float(macro_f1(confusion(labels, guess, n), missed))


def cohen_kappa(table: Int64, missed: int = 0) -> float:
    """Agreement beyond chance (Cohen, 1960); `missed` windows without an answer agree with nothing."""
    total = table.sum() + missed
    agreed = np.trace(table) / total
    by_chance = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    return 0.0 if by_chance == 1 else float((agreed - by_chance) / (1 - by_chance))


class Resampled:
    """People drawn with replacement, the same draws for every reader that is compared.

    The bootstrap is over people, not windows: windows of one person are not independent.
    """

    def __init__(self, people: Text, seed: int, resamples: int) -> None:
        self.names, self._whose = np.unique(people, return_inverse=True)
        rng = np.random.default_rng(seed)
        n = len(self.names)
        self._counts = np.zeros((resamples, n))
        for row in range(resamples):
            self._counts[row] = np.bincount(rng.integers(0, n, n), minlength=n)

    def f1(self, labels: Int64, guess: Int64, n: int) -> Float64:
        """Macro-F1 in each resample."""
        tables = np.zeros((len(self.names), n, n))
        missed = np.zeros((len(self.names), n))
        said = guess >= 0
        np.add.at(tables, (self._whose[said], labels[said], guess[said]), 1)
        np.add.at(missed, (self._whose[~said], labels[~said]), 1)
        return macro_f1(np.tensordot(self._counts, tables, 1), self._counts @ missed)

    def per_person(self, labels: Int64, guess: Int64, n: int) -> dict[str, float]:
        """Macro-F1 of each person by itself."""
        return {
            str(name): f1_of(labels[self._whose == i], guess[self._whose == i], n)
            for i, name in enumerate(self.names)
        }

    def scores(self, labels: Int64, guess: Int64, n: int) -> Scores:
        spread = self.f1(labels, guess, n)
        table = confusion(labels, guess, n)
        return Scores(
            macro_f1=f1_of(labels, guess, n),
            low=float(np.quantile(spread, 0.025)),
            high=float(np.quantile(spread, 0.975)),
            accuracy=float((labels == guess).mean()),
            kappa=cohen_kappa(table, int((guess < 0).sum())),
        )

    def gain(self, labels: Int64, guess: Int64, other: Int64, n: int) -> tuple[float, float, float]:
        """Macro-F1 of `guess` less that of `other`: value, and bounds of 95 % of resamples."""
        spread = self.f1(labels, guess, n) - self.f1(labels, other, n)
        return (
            f1_of(labels, guess, n) - f1_of(labels, other, n),
            float(np.quantile(spread, 0.025)),
            float(np.quantile(spread, 0.975)),
        )


def fit_temperature(logits: Float64, labels: Int64) -> float:
    """The divisor of the logits under which held-out labels are likeliest (Guo et al., 2017)."""

    def loss(log_t: float) -> float:
        told = log_softmax(logits / np.exp(log_t), axis=1)
        return float(-told[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-2.0, 3.0), method="bounded").x))


def cross_fitted(logits: Float64, labels: Int64, folds: Int64) -> tuple[Float64, dict[int, float]]:
    """Probabilities of each fold at the temperature that fits the held-out logits of all the *other* folds.

    So no window is told a probability that its own label helped to find. With a single fold there is nothing
    to fit on and the temperature is 1. Returns (n, n_labels) and the temperature of each fold.
    """
    p = np.zeros(logits.shape)
    found = {}
    for fold in np.unique(folds):
        here = folds == fold
        found[int(fold)] = fit_temperature(logits[~here], labels[~here]) if not here.all() else 1.0
        p[here] = softmax(logits[here] / found[int(fold)], axis=1)
    return p, found


def calibration_error(p: Float64, labels: Int64) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins of confidence."""
    return sum(share * abs(confidence - right) for share, confidence, right in reliability(p, labels))


def reliability(p: Float64, labels: Int64) -> list[tuple[float, float, float]]:
    """For each bin of confidence that is not empty: share of windows, mean confidence, accuracy."""
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        (float((bins == b).mean()), float(confidence[bins == b].mean()), float(right[bins == b].mean()))
        for b in np.unique(bins)
    ]


def stretches(
    person: Text, part: Sequence[tuple[object, ...]], start: Float64, end: Float64, seconds: float
) -> list[Int64]:
    """Rows of the windows inside consecutive stretches of `seconds`, each within one part of one person.

    part: what must be the same throughout, as label and recording. A stretch begins with the first window
    after the last one; windows that cross its end belong to none; a remainder shorter than two thirds of a
    stretch is dropped.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, key in enumerate(part):
        groups.setdefault((person[i], *key), []).append(i)
    found = []
    for rows in groups.values():
        rows.sort(key=lambda i: start[i])
        at = 0
        while at < len(rows):
            begin = start[rows[at]]
            inside = [i for i in rows[at:] if end[i] <= begin + seconds + 1e-6]
            if inside and max(end[i] for i in inside) - begin >= seconds * 2 / 3:
                found.append(np.array(inside))
            at = next(
                (k for k in range(at + 1, len(rows)) if start[rows[k]] >= begin + seconds - 1e-6), len(rows)
            )
    return found
