"""Windows to compare models on: random ones for any bundle, real ones where recordings are at hand."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.onnx import ExportError
from pipeline.calibration import LEVELS, MIDDLE
from pipeline.prompt import Person
from pipeline.recordings import open_recording
from pipeline.records import ChannelQuality, CompressedWindow, Span
from pipeline.session import Session
from pipeline.settings import PipelineSettings
from pipeline.sitting import play
from pipeline.wavelet import METHODS, versioned

_GENDERS = {"F": "female", "M": "male"}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A window and whose it is. label: what it shows, by number; None where nobody knows."""

    window: CompressedWindow
    person: Person
    label: int | None = None


def random_cases(settings: PipelineSettings, n: int, seed: int = 1) -> list[Case]:
    """Montages of any size, codes that move as states make them move."""
    rng = np.random.default_rng(seed)
    return [
        Case(random_window(settings, rng), Person(age=int(rng.integers(16, 90)), gender="female"))
        for _ in range(n)
    ]


def random_window(settings: PipelineSettings, rng: np.random.Generator) -> CompressedWindow:
    n_codes = METHODS[settings.compression].n_codes
    n = int(rng.integers(settings.min_channels, len(settings.montage) + 1))
    rows = np.sort(rng.choice(len(settings.montage), n, replace=False))
    # Bands that move together over the head, and noise.
    codes = MIDDLE + rng.normal(0, 4, (1, n_codes)) + rng.normal(0, 4, (n, n_codes))
    return make_window(
        settings,
        tuple(settings.montage[i] for i in rows),
        np.clip(np.rint(codes), 0, LEVELS - 1).astype(np.int16),
    )


def make_window(
    settings: PipelineSettings,
    channels: tuple[str, ...],
    codes: np.ndarray[tuple[int, int], np.dtype[np.int16]],
) -> CompressedWindow:
    """codes: (n_channels, n_codes)."""
    n = len(channels)
    return CompressedWindow(
        codes=codes,
        channels=channels,
        method=versioned(METHODS[settings.compression]),
        span=Span(0, 0, 0.0, settings.window, 0.0, settings.window, 0.0, 0.0),
        quality=ChannelQuality(np.ones(n, dtype=np.bool_), ("",) * n, 1.0),
    )


def real_cases(settings: PipelineSettings, data: Path) -> Iterator[Case]:
    """data: folder of eegmat: `subjects.csv`; of each person `_1.edf`, rest, and `_2.edf`, arithmetic.

    The windows that share no sample with the calibration, through the daemon's own chain. Label 0 is rest.
    """
    table = data / "subjects.csv"
    if not table.is_file():
        raise ExportError(f"{table} is missing: give the folder that holds the eegmat recordings")
    with table.open(newline="") as file:
        people = list(csv.DictReader(file))
    for row in people:
        files = [data / f"{row['Subject']}_{part}.edf" for part in (1, 2)]
        recordings = [open_recording(file) for file in files]
        person = Person(age=int(row["Age"]), gender=_GENDERS.get(row["Gender"]))
        session = Session(settings, recordings[0].channels, recordings[0].rate)
        for played in play(recordings):
            label = files.index(played.recording.path)
            for step in session.feed(played.chunk):
                if isinstance(step, CompressedWindow) and step.span.start_s >= settings.calibration:
                    yield Case(step, person, label)
