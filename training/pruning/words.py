"""The texts whose tokens a trimmed vocabulary keeps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from training.answers import answer_text, entries_for
from training.recipe import Recipe
from training.texts import documents


def domain_texts(folder: Path, recipe: Recipe) -> Iterable[str]:
    """The folder's, and every answer that the recipe's labels can get."""
    answers = [
        answer_text(label, None, variant)
        for label in recipe.labels
        for variant in range(max(1, len(entries_for(label))))
    ]
    return chain(answers, documents(folder))
