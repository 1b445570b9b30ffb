"""Recordings to labelled windows, through the very chain of the daemon."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.prompt import Person
from pipeline.recordings import open_recording
from pipeline.records import CompressedWindow
from pipeline.session import Session
from pipeline.settings import PipelineSettings
from pipeline.sitting import play
from training.errors import TrainingError

_GENDERS = {"F": "female", "M": "male"}


class CorpusError(TrainingError):
    """A data set that is not what it should be: one line that says why."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """One person's recordings, in order, each wholly of one label; the first begins with rest."""

    subject: str
    person: Person
    files: tuple[tuple[Path, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A window, whose it is and what it shows."""

    subject: str
    person: Person
    label: str
    window: CompressedWindow
    trial: str = ""
    """The stretch it was recorded in: windows of different trials share no sample. Empty: it crosses a border."""
    stimulus: str | None = None
    """What was shown, by a name shared between people; None where no stimulus stands behind the label."""


def eegmat(folder: Path) -> list[Sitting]:
    """EEG During Mental Arithmetic Tasks: `SubjectNN_1.edf` is rest, `SubjectNN_2.edf` the task."""
    table = folder / "subjects.csv"
    if not table.is_file():
        raise CorpusError(f"{table} is missing: give the folder that holds the eegmat recordings")
    sittings = []
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            subject = row["Subject"]
            files = (folder / f"{subject}_1.edf", "calm"), (folder / f"{subject}_2.edf", "stress")
            missing = [path.name for path, _ in files if not path.is_file()]
            if missing:
                raise CorpusError(f"{folder}: {', '.join(missing)} listed in {table.name} but not there")
            # The table is right where the EDF headers disagree with it.
            person = Person(age=int(row["Age"]), gender=_GENDERS.get(row["Gender"]))
            sittings.append(Sitting(subject, person, files))
    return sittings


def examples(sitting: Sitting, settings: PipelineSettings) -> Iterator[Example]:
    """The windows of a sitting that share no sample with its calibration."""
    recordings = [open_recording(path) for path, _ in sitting.files]
    labels = dict(sitting.files)
    session = Session(settings, recordings[0].channels, recordings[0].rate)
    for played in play(recordings):
        label = labels[played.recording.path]
        for step in session.feed(played.chunk):
            if isinstance(step, CompressedWindow) and step.span.start_s >= settings.calibration:
                yield Example(sitting.subject, sitting.person, label, step)


def subset(example: Example, keep: Sequence[int]) -> CompressedWindow:
    """The example's window with only the rows `keep`."""
    window = example.window
    return CompressedWindow(
        codes=window.codes[list(keep)],
        channels=tuple(window.channels[i] for i in keep),
        method=window.method,
        span=window.span,
        quality=window.quality,
    )
