"""What the model is compared with, all on the same windows of the same folds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pyriemann.tangentspace import TangentSpace
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from training.evaluation.eegnet import EEGNetReader
from training.evaluation.measures import Float64
from training.evaluation.part import Part, features
from training.evaluation.settings import System

# In place of minus infinity, for a label that the training part did not hold.
_NEVER = -20.0


class Reader(Protocol):
    def logits(self, part: Part) -> Float64:
        """(n, n_labels): the highest is the answer; a temperature makes probabilities of them."""


@dataclass(frozen=True, slots=True)
class Told:
    """A system in words, and whether it reads signals instead of codes."""

    told: str
    signals: bool = False


TOLD: dict[System, Told] = {
    "model": Told("the recipe's language model, from scratch in each fold, labels scored by their tokens"),
    "majority": Told("always the most frequent label of the training part"),
    "logistic-codes": Told("logistic regression on the model's own codes"),
    "svm-codes": Told("SVM with a radial basis function on the model's own codes"),
    "logistic-bands": Told("logistic regression on log band powers, not calibrated", signals=True),
    "svm-bands": Told("SVM with a radial basis function on log band powers, not calibrated", signals=True),
    "tangent": Told(
        "covariance matrices in the tangent space of their Riemannian mean, SVM (Barachant et al., 2013)",
        signals=True,
    ),
    "tangent-rest": Told(
        "the same with the person's own rest as origin (Zanini et al., 2018): calibrated as the model is",
        signals=True,
    ),
    "eegnet": Told("EEGNet-8,2 (Lawhern et al., 2018) on the filtered signal, scaled by rest", signals=True),
}


class Majority:
    def __init__(self, train: Part, n_labels: int) -> None:
        count = np.bincount(train.labels, minlength=n_labels)
        self._row = np.where(count > 0, np.log(np.maximum(count, 1) / count.sum()), _NEVER)

    def logits(self, part: Part) -> Float64:
        return np.tile(self._row, (len(part), 1))


class Classifier:
    """A scikit-learn pipeline on some view of a part."""

    def __init__(
        self, train: Part, n_labels: int, view: Callable[[Part], Float64], steps: tuple[Any, ...]
    ) -> None:
        self._view, self._n = view, n_labels
        self._fitted = make_pipeline(*steps).fit(view(train), train.labels)

    def logits(self, part: Part) -> Float64:
        told = np.asarray(self._fitted.decision_function(self._view(part)), dtype=np.float64)
        out = np.full((len(part), self._n), _NEVER)
        known = self._fitted.classes_
        # Of two labels scikit-learn tells one number, on whose sign the answer hangs.
        out[:, known] = np.stack([np.zeros(len(part)), told], axis=1) if told.ndim == 1 else told
        return out


def train(system: System, part: Part, n_labels: int, seed: int, eegnet_steps: int) -> Reader:
    """Any system but the model, which needs the recipe."""
    if system == "majority" or len(np.unique(part.labels)) < 2:
        return Majority(part, n_labels)
    if system == "eegnet":
        return EEGNetReader(part, n_labels, eegnet_steps, seed)
    if system in ("tangent", "tangent-rest"):
        steps = (TangentSpace(metric="riemann"), StandardScaler(), _svm())
        return Classifier(part, n_labels, _covariances if system == "tangent" else _whitened, steps)
    view = _bands if system.endswith("bands") else features
    last = _svm() if system.startswith("svm") else LogisticRegression(class_weight="balanced", max_iter=2000)
    return Classifier(part, n_labels, view, (StandardScaler(), last))


def _svm() -> SVC:
    # Ties between more than two labels go to the highest score, as in every other system.
    return SVC(class_weight="balanced", break_ties=True)


def _covariances(part: Part) -> Float64:
    return part.waves().covariance


def _whitened(part: Part) -> Float64:
    return part.waves().whitened


def _bands(part: Part) -> Float64:
    bands = part.waves().bands
    return bands.reshape(len(bands), -1)
