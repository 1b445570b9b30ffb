"""Any board that BrainFlow drives.

BrainFlow never says that a device is gone: its buffer just stays empty, which is the feed's to notice.
Lost packages show in the board's own package numbers, not in the stamps, which drivers interpolate.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

import numpy as np

from daemon.clocks import UtcStamps, utc_offset
from daemon.sources.base import SourceEnded, SourceLost, SourceRefused, StreamInfo, Timing
from daemon.sources.brainflow_import import (
    BoardIds,
    BoardShim,
    BrainFlowError,
    BrainFlowInputParams,
    IpProtocolTypes,
    board_id,
    board_layout,
)
from daemon.sources.clock import SegmentClock, Stretch
from daemon.sources.settings import BrainFlowSource
from pipeline.recordings import BoardLayout
from pipeline.recordings.counter import PackageCounter
from pipeline.records import Chunk, Float64

# BrainFlow overwrites its ring buffer silently: long enough that only a hung process could lose samples.
_BUFFER_S = 60
_POLL_S = 0.02
# Of these the electrodes are put where the user likes; BrainFlow's names are only a custom.
_FREE_PLACEMENT = ("cyton", "daisy", "freeeeg", "ganglion", "pieeg", "knight", "biolistener", "ironbci")
_IP = {
    "": IpProtocolTypes.NO_IP_PROTOCOL,
    "udp": IpProtocolTypes.UDP,
    "tcp": IpProtocolTypes.TCP,
}

# BrainFlow knows a session by its board and parameters: a second BoardShim with the same ones would, at
# its end, end the first one's session. So none is ever made.
_in_use: set[str] = set()
_in_use_lock = threading.Lock()

__all__ = ["BrainFlowBoard", "board_layout"]


class BrainFlowBoard:
    """See `Source`. Holds the one reference to its BoardShim: a second one's end would end the session."""

    def __init__(self, settings: BrainFlowSource) -> None:
        self._settings = settings
        self._shim: BoardShim | None = None
        self._session = ""
        self._layout: BoardLayout | None = None
        self._channels: tuple[str, ...] = ()
        self._clock: SegmentClock | None = None
        self._counter = PackageCounter()
        self._stamps = UtcStamps()
        self._ready: deque[Chunk] = deque()
        self._heard = 0.0
        self._plays = False

    def open(self) -> StreamInfo:
        settings = self._settings
        which = board_id(settings.board)
        self._plays = which == BoardIds.PLAYBACK_FILE_BOARD
        borrowed = which in (BoardIds.PLAYBACK_FILE_BOARD, BoardIds.STREAMING_BOARD)
        if borrowed and settings.master_board is None:
            raise SourceRefused(f"board {settings.board!r} needs master_board, the board that recorded")
        if self._plays and not Path(settings.file).is_file():
            raise SourceRefused(f"{settings.file or 'file'}: no such file to play back")
        layout = board_layout(settings.master_board if borrowed and settings.master_board else settings.board)
        channels = settings.channels or layout.names
        if len(channels) != len(layout.eeg):
            raise SourceRefused(
                f"channels names {len(channels)} rows, board {layout.board} has {len(layout.eeg)} for EEG"
            )
        self._prepare(which, layout)
        self._layout, self._channels, self._heard = layout, channels, time.monotonic()
        self._stamps = UtcStamps()
        self._counter = PackageCounter()
        if self._clock is None:
            self._clock = SegmentClock(layout.rate)
        else:
            self._ready += [self._chunk(stretch) for stretch in self._clock.cut(rate=layout.rate)]
        customary = settings.channels is None and any(part in layout.board for part in _FREE_PLACEMENT)
        return StreamInfo(
            channels=channels,
            rate=layout.rate,
            description=f"BrainFlow {layout.board}, {len(channels)} channels at {layout.rate:g} Hz",
            device={
                "kind": "brainflow",
                "board": layout.board,
                "brainflow": str(BoardShim.get_version()),
                "port": settings.serial_port or settings.mac_address or settings.ip_address or settings.file,
            },
            warnings=(
                (f"electrodes assumed at {', '.join(channels)}: set `channels` if they are elsewhere",)
                if customary
                else ()
            ),
        )

    def read(self, timeout_s: float) -> Chunk | None:
        assert self._shim is not None and self._clock is not None, "open() comes first"
        until = time.monotonic() + timeout_s
        while not self._ready:
            data = np.asarray(self._shim.get_board_data(), dtype=np.float64)
            now = time.monotonic()
            if data.shape[1]:
                self._heard = now
                self._take(data, now)
            elif self._plays and not self._settings.loop and now - self._heard > self._settings.stall_s / 2:
                self._ready += [self._chunk(stretch) for stretch in self._clock.flush()]
                if not self._ready:
                    raise SourceEnded(f"{self._settings.file} is over")
            elif now >= until:
                return None
            else:
                time.sleep(min(_POLL_S, until - now))
        return self._ready.popleft()

    def close(self) -> None:
        shim, self._shim = self._shim, None
        session, self._session = self._session, ""
        if shim is None:
            return
        # Stops the stream, too. Where that fails the device is as gone as it can be; if it is not, the
        # next opening says so.
        with suppress(BrainFlowError):
            shim.release_session()
        del shim  # before another may be made
        _release(session)

    @property
    def timing(self) -> Timing:
        return Timing(self._clock.rate_true, self._clock.backwards) if self._clock else Timing()

    def _prepare(self, which: BoardIds, layout: BoardLayout) -> None:
        self.close()
        settings, params = self._settings, BrainFlowInputParams()
        params.serial_port = settings.serial_port
        params.mac_address = settings.mac_address
        params.ip_address = settings.ip_address
        params.ip_port = settings.ip_port
        params.ip_protocol = int(_IP[settings.ip_protocol])
        params.serial_number = settings.serial_number
        params.other_info = settings.other_info
        params.file = settings.file
        params.timeout = settings.timeout_s
        if settings.master_board is not None:
            params.master_board = int(board_id(settings.master_board))
        session = f"{int(which)} {params.to_json()}"
        with _in_use_lock:
            if session in _in_use:
                raise SourceRefused(
                    f"board {layout.board} is in use by another stream with the same settings"
                )
            _in_use.add(session)
        self._shim, self._session = BoardShim(int(which), params), session
        try:
            self._shim.prepare_session()
        except BrainFlowError as error:
            self.close()
            raise SourceLost(f"board {layout.board} does not answer ({error.args[0]})") from error
        try:
            if self._plays and settings.loop:
                self._shim.config_board("loopback_true")
            self._shim.start_stream(int(_BUFFER_S * layout.rate))
        except BrainFlowError as error:
            self.close()
            raise SourceLost(f"board {layout.board} does not stream ({error.args[0]})") from error

    def _take(self, data: Float64, now: float) -> None:
        """data: (n_rows, n_samples), all rows of the board, µV where EEG."""
        assert self._layout is not None and self._clock is not None
        layout = self._layout
        # Stamps are of the host's UTC clock, as the driver read the sample, and somebody may set that clock.
        stamps = self._stamps.monotonic(data[layout.time])
        eeg = data[list(layout.eeg)].astype(np.float32)
        losses = self._counter.feed(data[layout.counter]) if layout.counter is not None else []
        # What lay in the buffer is not fresh.
        waited = max(0.0, now - float(stamps[-1]))
        arrived = now - min(waited, _BUFFER_S)
        at, out = 0, list[Stretch]()
        for index, lost in [*losses, (data.shape[1], 0)]:
            if index > at:
                out += self._clock.feed(eeg[:, at:index], stamps[at:index], arrived)
            if lost:
                out += self._clock.cut(lost, self._counter.modulo)
            at = index
        self._ready += [self._chunk(stretch) for stretch in out]

    def _chunk(self, stretch: Stretch) -> Chunk:
        assert self._layout is not None
        return Chunk(
            data=stretch.data,
            first_sample=stretch.first_sample,
            time=stretch.time + utc_offset(),
            time_uncertainty=stretch.jitter,
            arrived=stretch.arrived,
            channels=self._channels,
            rate=self._layout.rate,
            segment=stretch.segment,
            stamps=stretch.stamps,
        )


def _release(session: str) -> None:
    with _in_use_lock:
        _in_use.discard(session)
