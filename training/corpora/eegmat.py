"""EEG During Mental Arithmetic Tasks (Zyma et al., Data 4:14, 2019; PhysioNet eegmat 1.0.0, ODC-By 1.0).

`SubjectNN_1.edf` is about three minutes of rest, `SubjectNN_2.edf` a minute of serial subtraction. There is
no stimulus: what stands for a trial is a stretch of one recording.
"""

from __future__ import annotations

import csv
import math
from functools import partial
from pathlib import Path

from pipeline.prompt import Person
from pipeline.recordings import open_recording
from training.corpora.settings import Eegmat
from training.corpora.sitting import CorpusError, Playlist, Sitting, Stretch

TABLE = "subjects.csv"
_GENDERS = {"F": "female", "M": "male"}
_LABELS = ("calm", "stress")


def sittings(settings: Eegmat, folder: Path) -> list[Sitting]:
    """Of everybody in the table. Raises CorpusError where something is missing."""
    table = folder / TABLE
    if not table.is_file():
        raise CorpusError(
            f"{table} is missing: give the folder that holds the eegmat recordings, "
            "or fetch them with `python -m training corpus --download eegmat --data FOLDER`"
        )
    found = []
    try:
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                subject = row["Subject"]
                files = (folder / f"{subject}_1.edf", folder / f"{subject}_2.edf")
                missing = [path.name for path in files if not path.is_file()]
                if missing:
                    raise CorpusError(f"{folder}: {', '.join(missing)} listed in {table.name} but not there")
                # The table is right where the EDF headers disagree with it.
                person = Person(age=int(row["Age"]), gender=_GENDERS.get(row["Gender"]))
                read = partial(_read, files, settings.trial)
                found.append(Sitting(subject, subject, person, files, read))
    except (KeyError, ValueError, TypeError) as error:
        raise CorpusError(f"{table}: needs the columns Subject, Age, Gender ({error})") from error
    return found


def _read(files: tuple[Path, Path], trial: float) -> Playlist:
    recordings = tuple(open_recording(path) for path in files)
    stretches = []
    for index, (recording, label) in enumerate(zip(recordings, _LABELS, strict=True)):
        last = recording.segments[-1]
        seconds = last.start + last.n_samples / recording.rate
        for n in range(math.ceil(seconds / trial)):
            name = f"{label}-{n + 1:02d}"
            stretches.append(Stretch(index, label, name, start=n * trial, end=(n + 1) * trial))
    return Playlist(recordings, tuple(stretches))
