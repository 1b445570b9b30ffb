"""BrainFlow, imported quietly, and what it knows of its boards."""

from __future__ import annotations

import warnings

from daemon.sources.base import SourceRefused
from pipeline.recordings import BoardLayout

with warnings.catch_warnings():
    # brainflow finds its libraries through pkg_resources, which warns of its own end: at the first call.
    warnings.filterwarnings("ignore", message=".*pkg_resources", category=UserWarning)
    warnings.filterwarnings("ignore", message=".*pkg_resources", category=DeprecationWarning)
    from brainflow.board_shim import (
        BoardIds,
        BoardShim,
        BrainFlowError,
        BrainFlowInputParams,
        IpProtocolTypes,
    )

    # Its loggers write to the terminal as they please; what matters comes back as an error.
    BoardShim.disable_board_logger()

__all__ = [
    "BoardIds",
    "BoardShim",
    "BrainFlowError",
    "BrainFlowInputParams",
    "IpProtocolTypes",
    "board_id",
    "board_layout",
    "board_names",
]


def board_names() -> tuple[str, ...]:
    """As they may be written in the settings: `cyton`, `muse_2`, …"""
    return tuple(_short(board) for board in BoardIds if board is not BoardIds.NO_BOARD)


def board_id(board: str | int) -> BoardIds:
    """Raises SourceRefused for a board that BrainFlow does not know."""
    try:
        if isinstance(board, int):
            return BoardIds(board)
        name = board.strip().upper().replace("-", "_")
        return BoardIds[name if name.endswith("_BOARD") else f"{name}_BOARD"]
    except (KeyError, ValueError) as error:
        raise SourceRefused(
            f"BrainFlow knows no board {board!r}; it knows {', '.join(board_names())}"
        ) from error


def board_layout(board: str | int) -> BoardLayout:
    """Which row of the board's data holds what. Raises SourceRefused for a board without EEG."""
    which = board_id(board)
    try:
        found = BoardShim.get_board_descr(which)
        rows = tuple(int(row) for row in found["eeg_channels"])
        rate, time = float(found["sampling_rate"]), int(found["timestamp_channel"])
    except (BrainFlowError, KeyError) as error:
        raise SourceRefused(f"board {_short(which)} has no EEG channels") from error
    names = tuple(name.strip() for name in str(found.get("eeg_names", "")).split(",") if name.strip())
    return BoardLayout(
        board=_short(which),
        rows=int(found["num_rows"]),
        eeg=rows,
        names=names if len(names) == len(rows) else tuple(f"ch{i + 1}" for i in range(len(rows))),
        rate=rate,
        time=time,
        counter=int(found["package_num_channel"]) if "package_num_channel" in found else None,
    )


def _short(board: BoardIds) -> str:
    return str(board.name).removesuffix("_BOARD").lower()
