"""A recipe's sittings: which loader reads them."""

from __future__ import annotations

from pathlib import Path

from training.corpora import bids, eegmat, faced, faced_raw, simulated, table
from training.corpora.settings import Bids, Eegmat, Faced, FacedRaw, Simulated
from training.corpora.sitting import CorpusError, Sitting
from training.recipe import Recipe


def sittings(recipe: Recipe, data: Path, progress: bool = False) -> list[Sitting]:
    """The data set's sittings, in order; simulated ones are made first. Raises TrainingError, one line."""
    settings = recipe.corpus
    calibration, warmup = recipe.pipeline.calibration, recipe.pipeline.warmup
    if isinstance(settings, Simulated):
        return simulated.sittings(settings, data, calibration, progress)
    if not data.is_dir():
        raise CorpusError(f"{data}: no such folder: give the folder of the recordings with --data")
    if isinstance(settings, Eegmat):
        return eegmat.sittings(settings, data)
    if isinstance(settings, Faced):
        return faced.sittings(settings, data, calibration)
    if isinstance(settings, FacedRaw):
        return faced_raw.sittings(settings, data, calibration, warmup)
    if isinstance(settings, Bids):
        return bids.sittings(settings, data, calibration, warmup)
    return table.sittings(settings, data, calibration, warmup)
