"""The recipe's model as one of the systems: trained from scratch on the part, labels scored by token."""

from __future__ import annotations

import msgspec
import numpy as np
from scipy.special import log_softmax

from training import tokenizer
from training.device import pick
from training.errors import TrainingError
from training.evaluation.measures import Float64
from training.evaluation.part import Part
from training.evaluation.variants import prompts
from training.fit import LabelScorer, fit, scores
from training.recipe import Recipe

_MOST_AT_ONCE = 64
_CODES_AT_ONCE = 10_000


class ModelReader:
    def __init__(self, recipe: Recipe, train: Part, epochs: int | None, title: str) -> None:
        """epochs: in place of the recipe's. title: of the progress bar."""
        words = tokenizer.train(recipe.labels)
        if epochs is not None:
            recipe = msgspec.structs.replace(recipe, fit=msgspec.structs.replace(recipe.fit, epochs=epochs))
        device = pick()
        if absent := sorted(set(range(len(recipe.labels))) - set(train.labels.tolist())):
            names = ", ".join(recipe.labels[label] for label in absent)
            raise TrainingError(
                f"{title}: not one window of {names} to train on: use fewer folds or more people"
            )
        seen = [prompt for example in train.examples for prompt in prompts(example)]
        self._model = fit(recipe, words, seen, device, title)
        self._scorer = LabelScorer(words, recipe.labels, device)

    def logits(self, part: Part) -> Float64:
        """(n, n_labels). A window that is told in several prompts gets their mean log-probability."""
        asked = [prompts(example) for example in part.examples]
        # Attention grows with the square of a prompt's length: long ones are asked a few at a time.
        codes = max(prompt.window.codes.size for some in asked for prompt in some)
        batch = max(1, min(_MOST_AT_ONCE, _CODES_AT_ONCE // max(codes, 1)))
        told = scores(self._model, self._scorer, [prompt for some in asked for prompt in some], batch)
        counts = np.array([len(some) for some in asked])
        if (counts == 1).all():
            return told
        ends = np.cumsum(counts)
        told = log_softmax(told, axis=1)
        return np.stack([told[end - n : end].mean(axis=0) for end, n in zip(ends, counts, strict=True)])
