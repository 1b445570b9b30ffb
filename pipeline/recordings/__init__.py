"""Recordings from disk: EDF, BDF, XDF, BrainVision and BrainFlow's csv, all as µV in segments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.errors import RecordingError
from pipeline.recordings import brainflow_csv, brainvision, edf, xdf
from pipeline.recordings.brainflow_csv import BoardLayout
from pipeline.recordings.record import Recording, Segment

__all__ = ["BoardLayout", "Recording", "Segment", "open_recording"]

_READERS: dict[str, Callable[[Path], Recording]] = {
    ".edf": edf.read,
    ".bdf": edf.read,
    ".xdf": xdf.read,
    ".vhdr": brainvision.read,
}


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
        if kind == ".csv":
            return brainflow_csv.read(path, board)
        return _READERS[kind](path)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror or error}") from error
