"""Electrodes by region of the scalp, so that a finding is a sentence and not a table of electrodes."""

from __future__ import annotations

import re

from pipeline.drafts.course import Course
from pipeline.wavelet import BANDS

# Rows of the 10-10 system (Nuwer et al., 1998).
_ROWS = {
    "frontal": ("Fp", "AF", "F", "N"),
    "central": ("FC", "C", "CP"),
    "temporal": ("FT", "T", "TP"),
    "parietal": ("P",),
    "occipital": ("PO", "O", "I"),
}
REGIONS: dict[str, str] = {row: region for region, rows in _ROWS.items() for row in rows}


def region_of(electrode: str) -> str | None:
    """electrode: canonical name. None for the ears and mastoids."""
    return REGIONS.get(re.sub(r"(z|\d+)$", "", electrode))


def regional(course: Course) -> dict[tuple[str, str], float]:
    """For each (region, band): mean deviation of its electrodes from rest, in spreads."""
    found: dict[tuple[str, str], list[float]] = {}
    for electrode, bands in course.deviations.items():
        region = region_of(electrode)
        if region is not None:
            for band, spreads in zip(BANDS, bands, strict=True):
                found.setdefault((region, band), []).append(spreads)
    return {key: sum(values) / len(values) for key, values in sorted(found.items())}
