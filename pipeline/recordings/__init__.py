"""Recordings from disk: EDF, BDF, XDF, BrainVision and BrainFlow's csv, all as µV in segments."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import RecordingError
from pipeline.recordings import brainflow_csv, brainvision, edf, xdf
from pipeline.recordings.brainflow_csv import BoardLayout
from pipeline.recordings.record import Recording, Segment

__all__ = ["KINDS", "BoardLayout", "Recording", "Segment", "open_recording"]

# EEG amplifiers go up to some 100 kHz; beyond it a header is wrong, and resampling would never end.
MOST_HZ = 1e6

_READERS: dict[str, Callable[[Path], Recording]] = {
    ".edf": edf.read,
    ".bdf": edf.read,
    ".xdf": xdf.read,
    ".vhdr": brainvision.read,
}
# What is read without being told more: a csv needs its board.
KINDS = tuple(_READERS)


def open_recording(path: Path | str, board: BoardLayout | None = None) -> Recording:
    """Read a recording; the kind follows from the file's ending.

    board: what the columns of a BrainFlow csv mean; other kinds do not need it.
    Raises RecordingError, one line, where the file is missing, damaged or of unknown kind.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind != ".csv" and kind not in _READERS:
        raise RecordingError(f"{path}: unknown kind of recording; known are .csv {' '.join(_READERS)}")
    try:
        found = brainflow_csv.read(path, board) if kind == ".csv" else _READERS[kind](path)
    except RecordingError:
        raise
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file makes a decoder fail in any way there is
        raise RecordingError(f"{path}: damaged ({type(error).__name__}: {error}): export it anew") from error
    _check(found)
    return found


def _check(found: Recording) -> None:
    """What no reader can do without, whatever a file's header says."""
    if not (math.isfinite(found.rate) and 0 < found.rate <= MOST_HZ):
        raise RecordingError(f"{found.path}: damaged: a sampling rate of {found.rate:g} Hz")
    if not found.channels or not found.n_samples:
        raise RecordingError(f"{found.path}: holds no samples")
    end = 0.0
    for segment in found.segments:
        if not (math.isfinite(segment.start) and segment.start >= end - 1 / found.rate):
            raise RecordingError(f"{found.path}: damaged: its times run backwards, or are none")
        end = segment.start + segment.n_samples / found.rate
