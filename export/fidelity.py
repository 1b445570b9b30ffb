"""How far a form of a model is from the float32 weights, in numbers, and how far is too far."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from export.answers import Answers, TorchAnswers
from export.onnx import ExportError
from export.windows import Case
from pipeline import prompt
from pipeline.records import Float32, Float64
from pipeline.scoring import probabilities
from pipeline.words import Words

# Texts for the comparison of logits and of what would be written next.
_TEXTS = 8
_TOKENS = 16


class Bounds(msgspec.Struct, frozen=True):
    """What a form must keep to; see `Fidelity` for what each means."""

    logits_error: float
    greedy: float
    labels_equal: float
    gap_max: float
    macro_f1_change: float


# A rewritten graph computes the same; only the order of sums may differ.
EXACT = Bounds(logits_error=1e-4, greedy=1.0, labels_equal=1.0, gap_max=1e-3, macro_f1_change=0.0)
# Labels are what a reading is; text is judged by its facts, and drifts from float32 in any quantisation.
QUANTISED = Bounds(logits_error=0.2, greedy=0.8, labels_equal=0.99, gap_max=0.05, macro_f1_change=0.01)


class Fidelity(msgspec.Struct, frozen=True):
    """One form against float32 torch, over `windows` windows.

    logits_error: largest difference of logits, as a share of the largest logit or of 1.
    greedy: share of tokens that it would write next as float32 does, after what float32 wrote.
    labels_equal: share of windows with the same label. gap_max, gap_mean: of probabilities.
    macro_f1_change: on the windows' labels; None where they have none.
    window_ms: median time for a window on the machine of the comparison. mb: size on disk, 0 for torch.
    """

    form: str
    windows: int
    real: bool
    mb: float
    window_ms: float
    logits_error: float
    greedy: float
    labels_equal: float
    gap_max: float
    gap_mean: float
    macro_f1_change: float | None

    def broken(self, bounds: Bounds) -> str | None:
        """The name of the first bound that does not hold. A NaN breaks every bound."""
        held = {
            "logits_error": self.logits_error <= bounds.logits_error,
            "greedy": self.greedy >= bounds.greedy,
            "labels_equal": self.labels_equal >= bounds.labels_equal,
            "gap_max": self.gap_max <= bounds.gap_max,
            "macro_f1_change": self.macro_f1_change is None
            or abs(self.macro_f1_change) <= bounds.macro_f1_change,
        }
        return next((name for name, fine in held.items() if not fine), None)

    def check(self, bounds: Bounds) -> None:
        """Raises ExportError, one line, where a bound is broken."""
        name = self.broken(bounds)
        if name is not None:
            raise ExportError(
                f"{self.form} departs from the float32 weights: {name} is {getattr(self, name):.4g}, "
                f"the bound is {getattr(bounds, name):g}"
            )


class Truth:
    """The answers of the float32 weights, asked once."""

    def __init__(self, torch: TorchAnswers, words: Words, cases: Sequence[Case], temperature: float) -> None:
        self.cases = cases
        self.p = np.stack([torch.scores(case.window, case.person) for case in cases])
        self.p = probabilities(self.p, temperature)
        self._temperature = temperature
        questions = [words.ids(prompt.question(case.window, case.person)) for case in cases[:_TEXTS]]
        self.texts = [ids + torch.greedy(ids, _TOKENS) for ids in questions]
        self.logits = np.stack([torch.logits(text, _TOKENS + 1) for text in self.texts])

    @property
    def room(self) -> int:
        """Tokens of the longest text."""
        return max(map(len, self.texts))

    def compare(self, form: str, other: Answers, file: Path) -> Fidelity:
        rows: list[Float64] = []
        seconds = []
        for case in self.cases:
            began = time.perf_counter()
            rows.append(other.scores(case.window, case.person))
            seconds.append(time.perf_counter() - began)
        p = probabilities(np.stack(rows), self._temperature)
        logits: Float32 = np.stack([other.logits(text, _TOKENS + 1) for text in self.texts])
        gap, labels = np.abs(p - self.p), [case.label for case in self.cases]
        known = all(label is not None for label in labels)
        return Fidelity(
            form=form,
            windows=len(self.cases),
            real=known,
            mb=file.stat().st_size / 1e6,
            window_ms=1e3 * statistics.median(seconds),
            logits_error=float(np.abs(logits - self.logits).max() / max(1.0, np.abs(self.logits).max())),
            greedy=float((logits.argmax(axis=-1) == self.logits.argmax(axis=-1)).mean()),
            labels_equal=float((p.argmax(axis=1) == self.p.argmax(axis=1)).mean()),
            gap_max=float(gap.max()),
            gap_mean=float(gap.mean()),
            macro_f1_change=macro_f1(labels, p) - macro_f1(labels, self.p) if known else None,
        )


def macro_f1(labels: Sequence[int | None], p: Float64) -> float:
    """Mean over labels of the harmonic mean of precision and recall."""
    truth, guess = np.array(labels), p.argmax(axis=1)
    scores = []
    for label in np.unique(truth):
        hits = ((truth == label) & (guess == label)).sum()
        scores.append(2 * hits / max(1, (truth == label).sum() + (guess == label).sum()))
    return float(np.mean(scores))
