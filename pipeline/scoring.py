"""Labels by their tokens: what a fused model makes of a window behind its person's cached prefix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline import prompt
from pipeline.calibration import LEVELS
from pipeline.errors import BundleError
from pipeline.model import Model
from pipeline.prefixes import Prefixes
from pipeline.prompt import Person
from pipeline.records import CompressedWindow, Float32, Float64
from pipeline.settings import PipelineSettings
from pipeline.wavelet import METHODS
from pipeline.words import Words


class LabelScorer:
    """Owns a cache of one row, large enough for every prompt that the settings allow."""

    def __init__(self, model: Model, words: Words, labels: Sequence[str], settings: PipelineSettings) -> None:
        """Raises BundleError where the prompts are longer than what the model can tell apart."""
        self._model = model
        self._words = words
        self._labels = [words.ids(prompt.answer(label)) for label in labels]
        longest = longest_prompt(settings, words)
        capacity = longest + max(map(len, self._labels))
        if capacity > model.longest:
            raise BundleError(f"prompts take up to {capacity} tokens, the model reads {model.longest}")
        self._cache = model.cache(1, capacity)
        self._prefixes = Prefixes(model, self._cache)
        # The largest run comes first, so that memory is what it will be before the first window is.
        model.run(self._cache, [[0] * longest])

    def scores(self, window: CompressedWindow, person: Person) -> Float64:
        """Log-probability of each label's text: (n_labels,)."""
        prefix = self._words.ids(prompt.prefix(person))
        rest = self._words.ids(prompt.lines(window) + prompt.ASK)
        if self._prefixes.enter(prefix):
            self._check_cut(window, person, prefix + rest)
        past = len(prefix) + len(rest)
        told = log_softmax(self._model.run(self._cache, [rest], len(prefix))[0])
        scores = np.array([told[0, label[0]] for label in self._labels])
        for column, label in enumerate(self._labels):
            if len(label) > 1:
                # Each label's further tokens are written over the last one's.
                told = log_softmax(self._model.run(self._cache, [label[:-1]], past, len(label) - 1)[0])
                scores[column] += told[np.arange(len(label) - 1), label[1:]].sum()
        return scores

    def _check_cut(self, window: CompressedWindow, person: Person, ids: list[int]) -> None:
        """The model was trained on prompts tokenised whole."""
        if self._words.ids(prompt.question(window, person)) != ids:
            raise BundleError("the tokenizer joins the prompt's fixed part with what follows it")


def longest_prompt(settings: PipelineSettings, words: Words) -> int:
    """Tokens of the longest prompt that the settings allow."""
    n_codes = METHODS[settings.compression].n_codes
    codes = n_codes * words.most(f" {code}" for code in range(LEVELS))
    lines = sum(len(words.ids(f"\n{name}")) + codes for name in settings.montage)
    prefix = words.most(prompt.prefix(person) for person in prompt.everyone())
    return prefix + lines + len(words.ids(prompt.ASK))


def log_softmax(logits: Float32) -> Float64:
    """Over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def probabilities(scores: Float64, temperature: float) -> Float64:
    """Log-probabilities of labels to probabilities that sum to one over the last axis."""
    warm = scores / temperature
    return np.asarray(np.exp(warm - np.logaddexp.reduce(warm, axis=-1, keepdims=True)))
