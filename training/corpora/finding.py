"""A recipe's sittings: which loader reads them."""

from __future__ import annotations

from pathlib import Path

from training.corpora import eegmat
from training.corpora.settings import Eegmat
from training.corpora.sitting import CorpusError, Sitting
from training.recipe import Recipe


def sittings(recipe: Recipe, data: Path) -> list[Sitting]:
    """All sittings of the data set, in order. Raises CorpusError, one line."""
    settings = recipe.corpus
    if isinstance(settings, Eegmat):
        return eegmat.sittings(settings, data)
    raise CorpusError(f"{recipe.name}: no loader for this kind of corpus")
