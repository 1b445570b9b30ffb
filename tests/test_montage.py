"""Electrode names in all the spellings that devices and files use."""

from __future__ import annotations

import pytest

from pipeline.errors import MontageError
from pipeline.montage import ELECTRODES, canonical, match


@pytest.mark.parametrize(
    ("name", "electrode"),
    [
        ("EEG Fp1", "Fp1"),
        ("FP1", "Fp1"),
        ("fpz", "Fpz"),
        ("T3", "T7"),
        ("EEG T6-REF", "P8"),
        ("EEG C3-LE", "C3"),
        ("Fz-A2", "Fz"),
        ("Cz", "Cz"),
        ("O1.", "O1"),
        (" poz ", "POz"),
        ("A1", None),
        ("EEG A2-A1", None),
        ("ECG ECG", None),
        ("Status", None),
        ("", None),
    ],
)
def test_spellings(name: str, electrode: str | None) -> None:
    assert canonical(name) == electrode


@pytest.mark.parametrize("electrode", [e for e in ELECTRODES if e not in ("A1", "A2", "M1", "M2")])
def test_a_canonical_name_is_its_own(electrode: str) -> None:
    assert canonical(electrode) == electrode


def test_rows_come_in_the_montages_order() -> None:
    assert match(["EEG O2", "ECG", "EEG T3", "EEG Fp1"], ["Fp1", "T7", "O2"], 3) == [
        (3, "Fp1"),
        (2, "T7"),
        (0, "O2"),
    ]


def test_too_few_and_doubled_channels_are_refused() -> None:
    with pytest.raises(MontageError, match=r"1 of the stream's 2 channels.*at least 3"):
        match(["Fp1", "X1"], ["Fp1", "T7", "O2"], 3)
    with pytest.raises(MontageError, match="both electrode T7"):
        match(["T3", "T7", "Fp1"], ["Fp1", "T7"], 1)
