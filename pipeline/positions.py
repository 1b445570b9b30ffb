"""Where electrodes sit on a flattened head, for simulated fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.montage import canonical
from pipeline.records import Float64

# Rows from nose (+1) to neck (-1), in head radii. The sites of a row share their distance from Cz's row
# well enough for smooth fields; exact positions would change nothing that a filter or a model sees.
_ROW_Y = {
    "N": 1.0,
    "Fp": 0.9,
    "AF": 0.7,
    "F": 0.5,
    "FC": 0.25,
    "FT": 0.25,
    "C": 0.0,
    "T": 0.0,
    "CP": -0.25,
    "TP": -0.25,
    "P": -0.5,
    "PO": -0.7,
    "O": -0.9,
    "I": -1.0,
}


def positions(names: Sequence[str]) -> Float64:
    """(n, 2): x to the right, y to the front, in head radii. Raises ValueError for an unknown electrode."""
    return np.array([_position(name) for name in names], dtype=np.float64)


def _position(name: str) -> tuple[float, float]:
    electrode = canonical(name)
    if electrode is None:
        raise ValueError(f"{name!r} is not an electrode of the 10-05 system")
    row = electrode.rstrip("z0123456789")
    site = electrode[len(row) :]
    number = 0 if site == "z" else int(site)
    # Odd numbers are left: 1 and 2 next to the midline, 7 and 8 at the ear, 9 and 10 below it.
    x = 0.2 * ((number + 1) // 2) * (-1 if number % 2 else 1)
    y = _ROW_Y[row]
    # Keep the rows' ends on the head's round outline.
    return x * float(np.sqrt(max(0.2, 1 - 0.7 * y**2))), y


def field(at: Float64, centre: tuple[float, float], width: float) -> Float64:
    """Gain 0..1 at each position of a source under `centre` that fades over `width` head radii."""
    away = ((at - np.array(centre)) ** 2).sum(axis=1)
    return np.asarray(np.exp(-away / (2 * width**2)))
