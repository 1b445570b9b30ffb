"""FACED as recorded: a folder a person, `data.bdf` (32 channels, 1000 or 250 Hz) and `evt.bdf` (marks).

What is known from where. From the data set's Dataset_description.md and Task_event.xlsx, as public
converters to BIDS and public audits of the files quote them: folders `Data/sub000` to `Data/sub122`;
evt.bdf holds no signal but BDF annotations, and there a number from 1 to 28 names the clip that the next
101 (clip begins) and 102 (clip ends) enclose, 100 begins the task, 201 and 202 enclose a block, words tell
impedance checks; clips last 34 to 129 s and come in an order of each person's own, in blocks of one valence
with sums in between. A 101 may lack its number, or come twice: such a clip is left out and noted.
Recording_info.csv tells a unit for each person (V for 90, µV for 33 of the first cohort), which public
readers apply to what MNE returns; here the BDF header's own unit is read, and then judged by size. The
first cohort's channels stand in another order; channels are taken by their names.

What could not be checked here, the files not being at hand: whether the channels' names in data.bdf are in
truth those of the 10-20 system in every file, and how data.bdf and evt.bdf agree to the sample. A file that
differs is refused with one line. Kept is the **last** 30 s of each clip, as the processed form is
understood to keep it, and `warmup` seconds of the same clip before, for the filters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from edfio import read_bdf

from pipeline.montage import canonical
from pipeline.prompt import Person
from pipeline.recordings import Recording, Segment, open_recording
from training.corpora import clips
from training.corpora.faced import microvolts
from training.corpora.reading import cut
from training.corpora.settings import FacedRaw
from training.corpora.sitting import CorpusError, Playlist, Sitting

_BEGIN, _END = 101, 102
_FOLDER = re.compile(r"sub\d{3}")


class Shown(msgspec.Struct, frozen=True):
    """A clip as it was shown: seconds since the recording's first sample."""

    clip: int
    begin: float
    end: float


def sittings(settings: FacedRaw, folder: Path, calibration: float, warmup: float) -> list[Sitting]:
    """One of each person's folder. Raises CorpusError, one line."""
    clips.check_rest(settings.rest, clips.CLIP_SECONDS, calibration)
    within = next((path for path in (folder, folder / "Data") if any(path.glob("sub*/data.bdf"))), None)
    if within is None:
        raise CorpusError(
            f"{folder}: no subNNN/data.bdf here: give the folder of FACED, or its Data; for the processed "
            "form use a recipe of kind faced"
        )
    known = clips.people(within, settings.people)
    found = []
    for person in sorted(path for path in within.iterdir() if _FOLDER.fullmatch(path.name)):
        files = (person / "data.bdf", person / "evt.bdf")
        for file in files:
            if not file.is_file():
                raise CorpusError(f"{file} is missing: fetch it again, or remove the folder of this person")
        if parts := sorted(person.glob("data.*.bdf")):
            raise CorpusError(f"{parts[0]}: a recording in several files: join them into data.bdf first")
        read = partial(_read, *files, settings.rest, settings.classes, warmup)
        found.append(Sitting(person.name, person.name, known.get(person.name, Person()), files, read))
    return found


def _read(data: Path, marks: Path, rest: tuple[int, ...], classes: int, warmup: float) -> Playlist:
    shown, notes = spans(marks_of(marks))
    recording = _scalp(open_recording(data))
    pieces: dict[int, Recording] = {}
    start: dict[int, float] = {}
    for one in shown:
        if one.end - one.begin < clips.CLIP_SECONDS:
            notes.append(f"{clips.clip_name(one.clip)} lasts {one.end - one.begin:.1f} s only: left out")
            continue
        lead = min(warmup, one.end - clips.CLIP_SECONDS - one.begin)
        piece, at = cut(recording, one.end - clips.CLIP_SECONDS, one.end, lead)
        pieces[one.clip], start[one.clip] = piece, at
    gone = [clips.clip_name(clip) for clip in rest if clip not in pieces]
    if gone:
        raise CorpusError(f"{marks}: {', '.join(gone)} cannot be told from the marks, and serves as rest")
    whole = np.concatenate([piece.segments[0].data for piece in pieces.values()], axis=1)
    factor = microvolts(whole, recording.rate, data)
    pieces = {clip: _scaled(piece, factor) for clip, piece in pieces.items()}
    return clips.playlist(pieces, rest, classes, start, tuple(notes))


def marks_of(path: Path) -> list[tuple[float, str]]:
    """Onset in seconds and text of each annotation, in time order. Raises CorpusError, one line."""
    try:
        found = read_bdf(path, header_encoding="latin-1").annotations
    # A file that is no BDF fails in as many ways as there are bytes.
    except Exception as why:
        raise CorpusError(f"{path}: no marks can be read ({type(why).__name__}): fetch it again") from None
    return sorted((float(one.onset), str(one.text).strip()) for one in found)


def spans(marks: Sequence[tuple[float, str]]) -> tuple[list[Shown], list[str]]:
    """What was shown, in the order of showing, and what had to be left out, one line each.

    A clip counts where its number, 101 and 102 follow each other with no other of these in between.
    """
    found: list[Shown] = []
    notes: list[str] = []
    clip = begin = None
    for onset, text in marks:
        number = int(text) if text.isdigit() else 0
        if 1 <= number <= len(clips.EMOTIONS):
            clip, begin = number, None
        elif number == _BEGIN:
            if clip is None or begin is not None:
                notes.append(f"a clip begins at {onset:.1f} s without a number: left out")
                clip = None
            begin = onset
        elif number == _END:
            if clip is not None and begin is not None:
                found.append(Shown(clip, begin, onset))
            clip = begin = None
    seen = [one.clip for one in found]
    twice = sorted({clip for clip in seen if seen.count(clip) > 1})
    notes += [f"{clips.clip_name(clip)} is marked more than once: left out" for clip in twice]
    found = [one for one in found if one.clip not in twice]
    absent = sorted(set(range(1, len(clips.EMOTIONS) + 1)) - set(seen))
    notes += [f"{clips.clip_name(clip)} is not marked" for clip in absent]
    return found, notes


def _scalp(recording: Recording) -> Recording:
    """Its scalp electrodes alone, in the order of the processed form."""
    rows = {canonical(name): row for row, name in enumerate(recording.channels)}
    missing = [name for name in clips.CHANNELS if name not in rows]
    if missing:
        raise CorpusError(f"{recording.path}: has no channel {', '.join(missing)}, by 10-20 names")
    order = [rows[name] for name in clips.CHANNELS]
    segments = tuple(Segment(segment.data[order], segment.start) for segment in recording.segments)
    return Recording(recording.path, clips.CHANNELS, recording.rate, segments, start_utc=None)


def _scaled(piece: Recording, factor: float) -> Recording:
    data = (piece.segments[0].data * factor).astype(np.float32)
    return Recording(piece.path, piece.channels, piece.rate, (Segment(data, 0.0),), start_utc=None)
