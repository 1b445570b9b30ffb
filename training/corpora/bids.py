"""Data sets in BIDS (EEG): participants.tsv, and an events.tsv beside each recording.

    participants.tsv                                participant_id, age, sex
    sub-01/[ses-a/]eeg/sub-01_…task-T_…_eeg.edf     or .bdf, .vhdr; .set and others through MNE
    sub-01/[ses-a/]eeg/sub-01_…task-T_…_events.tsv  onset, duration, and the column that decides the label

Plain tables are read as such: of BIDS only what is named above is used (Pernet et al., Scientific Data
6:103, 2019; bids-specification 1.10). A participant's session is a sitting; its recordings are played in
the order of their names, those events first that are rest.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from pipeline.prompt import Person
from training.corpora.settings import Bids
from training.corpora.sitting import CorpusError, Sitting
from training.corpora.table import Row, person_of, sitting_of

_KINDS = (".edf", ".bdf", ".vhdr", ".set")
_NAME = re.compile(r"(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?_.*")


def sittings(settings: Bids, folder: Path, calibration: float, warmup: float) -> list[Sitting]:
    """Raises CorpusError, one line."""
    people = _people(folder / "participants.tsv")
    rows: dict[tuple[str, str], list[Row]] = {}
    pattern = f"sub-*/**/eeg/sub-*_task-{settings.task}_*eeg.*"
    for path in sorted(folder.glob(pattern)):
        if path.suffix.lower() in _KINDS and (named := _NAME.fullmatch(path.name)):
            whose = named[1], named[2] or ""
            rows.setdefault(whose, []).extend(_events(path, settings))
    if not rows:
        raise CorpusError(f"{folder}: no recording here is called {pattern}")
    return [
        sitting_of(
            "_".join(filter(None, (subject, session))),
            subject,
            people.get(subject, Person()),
            found,
            calibration,
            warmup,
            settings.mains,
        )
        for (subject, session), found in rows.items()
    ]


def _people(path: Path) -> dict[str, Person]:
    found = {}
    for row in _table(path, ("participant_id",)):
        name = row["participant_id"]
        found[name] = person_of(row.get("age", ""), row.get("sex", ""), f"{path}, {name}")
    return found


def _events(recording: Path, settings: Bids) -> list[Row]:
    path = recording.with_name(f"{recording.stem.removesuffix('_eeg')}_events.tsv")
    columns = ("onset", "duration", settings.column, *([settings.stimulus] if settings.stimulus else []))
    found = []
    for number, row in enumerate(_table(path, columns), start=2):
        told = row[settings.column]
        if told != settings.rest and told not in settings.emotions:
            continue
        try:
            start, duration = float(row["onset"]), float(row["duration"])
        except ValueError:
            raise CorpusError(
                f"{path}, line {number}: onset {row['onset']!r}, duration {row['duration']!r}: not seconds"
            ) from None
        if start < 0 or duration <= 0:
            raise CorpusError(f"{path}, line {number}: {duration:g} s from {start:g} s are no stretch")
        label = None if told == settings.rest else settings.emotions[told]
        shown = row[settings.stimulus] if settings.stimulus else ""
        found.append(Row(recording, start, start + duration, label, shown or None))
    return found


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise CorpusError(f"{path}: has no column {', '.join(missing)}")
            return [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
    except OSError as why:
        raise CorpusError(f"{path}: cannot be read: {why.strerror or why}") from None
    except UnicodeDecodeError:
        raise CorpusError(f"{path}: not a table in UTF-8") from None
