"""What every data set is read into: one person's recordings in order, and what they show when."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.prompt import Person
from pipeline.recordings import Recording
from training.errors import TrainingError


class CorpusError(TrainingError):
    """A data set that is not what it should be: one line that says why."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples of one label in one go.

    recording: its index in the playlist. start, end: seconds since that recording's first sample.
    label: None where nothing is learnt from it, as from rest that only calibrates.
    trial: unique within the sitting. stimulus: what was shown, by a name shared between people.
    """

    recording: int
    label: str | None
    trial: str
    stimulus: str | None = None
    start: float = 0.0
    end: float = math.inf


@dataclass(frozen=True, slots=True)
class Playlist:
    """Recordings in the order in which they are played, and their stretches, which do not overlap.

    The first `calibration` seconds have to be rest. notes: what had to be left out, one line each.
    """

    recordings: tuple[Recording, ...]
    stretches: tuple[Stretch, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sitting:
    """One person under one headset, still on disk.

    name: of the file that its examples are kept in, unique in the corpus. files: all that it is read from.
    read: brings it into memory, about 30 MB for a sitting of FACED; travels to worker processes.
    mains: Hz.
    """

    name: str
    subject: str
    person: Person
    files: tuple[Path, ...]
    read: Callable[[], Playlist]
    mains: float = 50.0
