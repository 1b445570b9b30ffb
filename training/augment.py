"""What a window may look like on another head, under another cap."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipeline.calibration import LEVELS
from pipeline.prompt import Person
from training.corpus import Example, subset
from training.recipe import Augment


def augmented(example: Example, how: Augment, min_channels: int, rng: np.random.Generator) -> Example:
    """Noise on the codes, fewer electrodes, unknown demographics: each at the recipe's rate.

    Codes of one row are taken as `n_codes / n_bands` columns a band, as the energy methods lay them out.
    """
    person = Person() if rng.random() < how.person_drop else example.person
    window = example.window
    n = len(window.channels)
    if rng.random() < how.montage_share:
        share = 1 - how.electrode_drop * rng.random()
        keep = np.flatnonzero(rng.random(n) < share)
        if len(keep) >= min_channels:
            window = subset(example, keep.tolist())
    noise = rng.normal(0, how.code_noise, window.codes.shape)
    noise += rng.normal(0, how.band_noise, (1, window.codes.shape[1]))
    codes = np.clip(np.rint(window.codes + noise), 0, LEVELS - 1).astype(np.int16)
    return dataclasses.replace(example, person=person, window=dataclasses.replace(window, codes=codes))
