"""Any folder of recordings with a CSV table of what they show.

    file,start,end,subject,label,age,gender,stimulus
    anna.edf,0,90,anna,rest,31,female,
    anna.edf,120,180,anna,stress,31,female,maths-1

A row is a trial. Empty start and end mean the whole file. The stretches labelled as rest (the recipe says
by which word) are played first, each in the table's order, and calibrate; then the others in the table's
order. Each is played from up to the chain's warm-up before its start, so that its first window begins with
it.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.prompt import GENDERS, Person
from pipeline.recordings import Recording
from training.corpora.reading import cut, read_any
from training.corpora.settings import Table
from training.corpora.sitting import CorpusError, Playlist, Sitting, Stretch

_COLUMNS = ("file", "start", "end", "subject", "label")
_SHORT = {"f": "female", "m": "male", "o": "other"}
_MISSING = ("", "n/a", "na", "nan")


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled stretch of a file; label None for rest.

    start, end: seconds since the file's first sample; an infinite end is the file's.
    """

    file: Path
    start: float
    end: float
    label: str | None
    stimulus: str | None = None


def sittings(settings: Table, folder: Path, calibration: float, warmup: float) -> list[Sitting]:
    """One of each subject. Raises CorpusError, one line that names the table's line."""
    table = folder / settings.table
    rows: dict[str, list[Row]] = {}
    people: dict[str, Person] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise CorpusError(f"{table}: has no column {', '.join(missing)}")
            for number, told in enumerate(reader, start=2):
                row = {key: (value or "").strip() for key, value in told.items() if key}
                where = f"{table}, line {number}"
                subject = row["subject"]
                if not subject:
                    raise CorpusError(f"{where}: no subject")
                person = person_of(row.get("age", ""), row.get("gender", ""), where)
                if people.setdefault(subject, person) != person:
                    raise CorpusError(f"{where}: {subject} has another age or gender than before")
                rows.setdefault(subject, []).append(_row(row, folder, settings, where))
    except OSError as why:
        raise CorpusError(f"{table}: cannot be read: {why.strerror or why}") from None
    except (UnicodeDecodeError, csv.Error) as why:
        raise CorpusError(f"{table}: not a CSV table in UTF-8 ({why})") from None
    return [
        sitting_of(subject, subject, people[subject], found, calibration, warmup, settings.mains)
        for subject, found in rows.items()
    ]


def sitting_of(
    name: str,
    subject: str,
    person: Person,
    rows: Sequence[Row],
    calibration: float,
    warmup: float,
    mains: float,
) -> Sitting:
    """calibration, warmup: seconds; mains: Hz."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    files = tuple(dict.fromkeys(file for row in rows for file in _parts(row.file)))
    return Sitting(name, subject, person, files, partial(_read, tuple(rows), calibration, warmup), mains)


def person_of(age: str, gender: str, where: str) -> Person:
    """where: told in the complaint. Raises CorpusError."""
    try:
        years = None if age.lower() in _MISSING else int(float(age))
        word = gender.lower()
        known = None if word in _MISSING else _SHORT.get(word, word)
        return Person(years, known)
    except ValueError as why:
        raise CorpusError(f"{where}: {why}; gender is one of {', '.join(GENDERS)}") from None


def _row(row: dict[str, str], folder: Path, settings: Table, where: str) -> Row:
    if not row["file"]:
        raise CorpusError(f"{where}: no file")
    file = folder / f"{row['file']}{settings.suffix}"
    if not file.is_file():
        raise CorpusError(f"{where}: {row['file']} is not there")
    if not row["label"]:
        raise CorpusError(f"{where}: no label: name what it shows, or leave the line out")
    try:
        start = float(row["start"] or 0)
        end = float(row["end"] or math.inf)
    except ValueError:
        raise CorpusError(f"{where}: start and end are seconds, got {row['start']}, {row['end']}") from None
    if not 0 <= start < end:
        raise CorpusError(f"{where}: start {start:g} s and end {end:g} s are no stretch")
    label = None if row["label"] == settings.rest else row["label"]
    return Row(file, start, end, label, row.get("stimulus") or None)


def _parts(file: Path) -> list[Path]:
    """The file and those that it is a header of, so that a change of any is seen."""
    beside = [file.with_suffix(ending) for ending in (".eeg", ".vmrk", ".fdt")]
    return [file, *(path for path in beside if path.is_file() and path != file)]


def _read(rows: Sequence[Row], calibration: float, warmup: float) -> Playlist:
    held: dict[Path, Recording] = {}
    pieces: list[Recording] = []
    stretches: list[Stretch] = []
    seconds = 0.0
    for row in sorted(rows, key=lambda row: row.label is not None):  # keeps the order otherwise
        if row.file not in held:
            held[row.file] = read_any(row.file)
        recording = held[row.file]
        last = recording.segments[-1]
        end = last.start + last.n_samples / recording.rate if row.end == math.inf else row.end
        if row.label is None:
            seconds += end - row.start
        piece, at = cut(recording, row.start, end, warmup)
        trial = f"{row.file.stem}-{row.start:g}"
        stretches.append(Stretch(len(pieces), row.label, trial, row.stimulus, start=at))
        pieces.append(piece)
    if seconds < calibration:
        raise CorpusError(
            f"{rows[0].file}: {seconds:g} s labelled as rest, the calibration takes {calibration:g} s: "
            "label more rest, or shorten calibration in [pipeline]"
        )
    return Playlist(tuple(pieces), tuple(stretches))
