"""The tab-separated files that BrainFlow's streamers and `DataFilter.write_file` leave behind.

They carry numbers only: one line a sample, one column a row of the board's array. What the columns mean
depends on the board, so its layout has to be given.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.errors import RecordingError
from pipeline.recordings.counter import PackageCounter
from pipeline.recordings.record import Recording, Segment
from pipeline.records import Float64

# Without a usable package counter only an interruption of this length is plain from the stamps, seconds.
_GAP_S = 1.0


@dataclass(frozen=True, slots=True)
class BoardLayout:
    """Which column of a BrainFlow file holds what; from BoardShim.get_board_descr.

    rows: columns in all. eeg, names: the EEG columns (µV) and their names. rate: Hz.
    time: column of UTC stamps, seconds since the Unix epoch. counter: of the package number, if there is one.
    """

    board: str
    rows: int
    eeg: tuple[int, ...]
    names: tuple[str, ...]
    rate: float
    time: int
    counter: int | None


def read(path: Path, layout: BoardLayout | None) -> Recording:
    """Raises RecordingError, one line, where the layout is missing or does not fit."""
    if layout is None:
        raise RecordingError(f"{path}: a BrainFlow csv does not say which board wrote it: name the board")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns of an empty file
            table = np.loadtxt(path, delimiter="\t", ndmin=2, dtype=np.float64)
    except (ValueError, UserWarning) as error:
        raise RecordingError(f"{path}: not a BrainFlow csv, or damaged ({error})") from error
    if table.shape[1] != layout.rows:
        raise RecordingError(
            f"{path}: has {table.shape[1]} columns, a file of board {layout.board} has {layout.rows}: "
            "name the board that wrote it"
        )
    data = np.ascontiguousarray(table[:, layout.eeg].T, dtype=np.float32)
    stamps = table[:, layout.time]
    lost = _losses(table, layout, stamps)
    edges = [0, *lost, len(table)]
    segments, at = [], 0
    for a, b in pairwise(edges):
        at += lost.get(a, 0)
        segments.append(Segment(data[:, a:b], at / layout.rate))
        at += b - a
    start_utc = float(stamps[0]) if stamps[0] > 0 else None
    return Recording(path, layout.names, layout.rate, tuple(segments), start_utc)


def _losses(table: Float64, layout: BoardLayout, stamps: Float64) -> dict[int, int]:
    """Samples lost before a line, by the package counter; long interruptions by the stamps."""
    late = np.diff(stamps) - 1 / layout.rate
    lost = {int(i) + 1: max(1, round(float(late[i]) * layout.rate)) for i in np.flatnonzero(late > _GAP_S)}
    if layout.counter is not None:
        counter = PackageCounter()
        for index, count in counter.feed(table[:, layout.counter]):
            lost.setdefault(index, count)
    return dict(sorted(lost.items()))
