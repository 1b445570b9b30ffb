"""`--board`: what the columns of a BrainFlow csv mean."""

from __future__ import annotations

from pipeline.errors import RecordingError
from pipeline.recordings import BoardLayout


def layout(board: str | None) -> BoardLayout | None:
    """Raises RecordingError for a board that is unknown or has no EEG."""
    if board is None:
        return None
    # BrainFlow's libraries are large and not there on every machine.
    from daemon.sources.base import SourceRefused
    from daemon.sources.brainflow_import import board_layout

    try:
        return board_layout(board)
    except SourceRefused as why:
        raise RecordingError(f"--board: {why}") from None
