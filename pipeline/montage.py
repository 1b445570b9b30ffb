"""Electrode names: one canonical spelling (10-05, modern) for all the conventions in use."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.errors import MontageError

# Row prefixes and sites of the 10-10 system (Nuwer et al., 1998), plus the ears and mastoids.
_ROWS = {
    "Fp": "1 z 2",
    "AF": "9 7 5 3 1 z 2 4 6 8 10",
    "F": "9 7 5 3 1 z 2 4 6 8 10",
    "FT": "9 7 8 10",
    "FC": "5 3 1 z 2 4 6",
    "T": "9 7 8 10",
    "C": "5 3 1 z 2 4 6",
    "TP": "9 7 8 10",
    "CP": "5 3 1 z 2 4 6",
    "P": "9 7 5 3 1 z 2 4 6 8 10",
    "PO": "9 7 5 3 1 z 2 4 6 8 10",
    "O": "1 z 2",
    "I": "1 z 2",
    "N": "z",
    "A": "1 2",
    "M": "1 2",
}
ELECTRODES: tuple[str, ...] = tuple(row + site for row, sites in _ROWS.items() for site in sites.split())

# Before 1991 the temporal sites of the 10-20 system had other names (Jasper, 1958).
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_BY_KEY = {name.upper(): name for name in ELECTRODES} | _OLD_NAMES

# `EEG Fp1`, `EEG-Fp1-REF`, `Fp1-A2`, `FP1.`, `Fp1_LE`: type before, reference behind.
_PREFIX = re.compile(r"^(EEG|EXG|CH)[\s_:-]+", re.IGNORECASE)
_REFERENCE = re.compile(r"[\s_:-]+(REF|LE|RE|AR|AVG|AV|CAR|A1|A2|M1|M2|A1A2|M1M2|CZ)$", re.IGNORECASE)
# References and ground: electrodes, but not sites a model may read from.
_NOT_SCALP = {"A1", "A2", "M1", "M2"}


def canonical(name: str) -> str | None:
    """The canonical name of an electrode, or None if `name` is not a scalp electrode."""
    bare = _PREFIX.sub("", name.strip()).strip(" .")
    bare = _REFERENCE.sub("", bare).strip(" .")
    found = _BY_KEY.get(bare.upper())
    return None if found in _NOT_SCALP else found


def match(names: Sequence[str], montage: Sequence[str], at_least: int) -> list[tuple[int, str]]:
    """Rows of a stream that carry an electrode of `montage`, in the montage's order.

    names: the stream's channel names; montage: canonical names the model knows.
    Returns (row, canonical name) pairs.
    Raises MontageError where an electrode appears twice or fewer than `at_least` are found.
    """
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        electrode = canonical(name)
        if electrode is None:
            continue
        if electrode in rows:
            raise MontageError(
                f"channels {names[rows[electrode]]!r} and {name!r} are both electrode {electrode}: "
                "rename or leave out one of them"
            )
        rows[electrode] = row
    found = [(rows[electrode], electrode) for electrode in montage if electrode in rows]
    if len(found) < at_least:
        raise MontageError(
            f"{len(found)} of the stream's {len(names)} channels are electrodes the model knows, "
            f"it needs at least {at_least}: got {', '.join(names) or 'no channel'}; "
            f"known are {', '.join(montage)}"
        )
    return found
