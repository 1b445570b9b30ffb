"""A recipe's sittings: which loader reads them."""

from __future__ import annotations

from pathlib import Path

from training.corpora import eegmat, faced, simulated
from training.corpora.settings import Eegmat, Faced, Simulated
from training.corpora.sitting import CorpusError, Sitting
from training.recipe import Recipe


def sittings(recipe: Recipe, data: Path, progress: bool = False) -> list[Sitting]:
    """The data set's sittings, in order; simulated ones are made first. Raises TrainingError, one line."""
    settings, calibration = recipe.corpus, recipe.pipeline.calibration
    if isinstance(settings, Simulated):
        return simulated.sittings(settings, data, calibration, progress)
    if not data.is_dir():
        raise CorpusError(f"{data}: no such folder: give the folder of the recordings with --data")
    if isinstance(settings, Eegmat):
        return eegmat.sittings(settings, data)
    if isinstance(settings, Faced):
        return faced.sittings(settings, data, calibration)
    raise CorpusError(f"{recipe.name}: no loader for this kind of corpus")
