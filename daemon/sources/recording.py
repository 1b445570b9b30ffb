"""Recordings as a source: at real time, faster, or as fast as they are taken."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.clocks import ClockWatch
from daemon.sources.base import SourceEnded, SourceRefused, StreamInfo, Timing
from daemon.sources.pace import Pacer
from daemon.sources.settings import RecordingSource
from pipeline.errors import RecordingError
from pipeline.recordings import Recording, open_recording
from pipeline.recordings.brainflow_csv import BoardLayout
from pipeline.records import Chunk, Float32

_BLOCK_S = 0.04  # as wireless headsets send
_FAST_BLOCK_S = 1.0  # nobody waits for it: fewer, larger chunks


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """data: float32 (n_channels, n_samples), a stretch of a segment. lost: samples missing before it."""

    data: Float32
    lost: int
    starts_segment: bool


class RecordingPlayer:
    """See `Source`. Plays its files in order; each file and each gap within one starts a new segment."""

    def __init__(self, settings: RecordingSource) -> None:
        self._settings = settings
        self._channels: tuple[str, ...] = ()
        self._rate = 0.0
        self._pacer: Pacer | None = None
        self._pieces: Iterator[_Piece] = iter(())
        self._next: _Piece | None = None
        self._start_utc = 0.0
        self._clocks = ClockWatch()
        self._start_sample = 0
        self._next_sample = 0
        self._segment = -1

    def open(self) -> StreamInfo:
        settings = self._settings
        layout = _layout(settings.board)
        first = self._load(settings.files[0], layout)
        # Everything is read once now: a bad file is refused at the start, not hours later.
        for file in settings.files[1:]:
            other = self._load(file, layout)
            if (other.channels, other.rate) != (first.channels, first.rate):
                raise SourceRefused(
                    f"{file}: has other channels or another rate than {settings.files[0]}: "
                    "play them as separate streams"
                )
        if settings.channels and len(settings.channels) != len(first.channels):
            raise SourceRefused(
                f"channels names {len(settings.channels)} rows, {first.path} has {len(first.channels)}: "
                + ", ".join(first.channels)
            )
        self._channels, self._rate = settings.channels or first.channels, first.rate
        block_s = _FAST_BLOCK_S if settings.speed == 0 else _BLOCK_S * max(1.0, settings.speed)
        self._pieces = self._play(layout, max(1, int(block_s * first.rate)))
        self._next = next(self._pieces, None)
        # What plays as if it were live has the time of a live stream; what is only read keeps its own.
        now = time.time()
        self._clocks = ClockWatch()
        self._start_utc = (first.start_utc or now) if settings.speed == 0 else now
        self._start_sample = self._next_sample
        self._pacer = Pacer(first.rate * settings.speed) if settings.speed else None
        names = ", ".join(Path(file).name for file in settings.files)
        return StreamInfo(
            channels=self._channels,
            rate=first.rate,
            description=f"recording {names}, {len(first.channels)} channels at {first.rate:g} Hz",
            device={"kind": "recording", "files": names},
            warnings=first.warnings,
        )

    def read(self, timeout_s: float) -> Chunk | None:
        piece = self._next
        if piece is None:
            raise SourceEnded("the recording is over")
        n = int(piece.data.shape[1])
        if self._pacer is not None:
            if not self._pacer.wait(n, timeout_s):
                return None
            arrived = self._pacer.take(n)
            self._start_utc += self._clocks.step()
        else:
            arrived = time.monotonic()
        self._segment += piece.starts_segment
        first = self._next_sample + piece.lost
        self._next_sample = first + n
        self._next = next(self._pieces, None)
        return Chunk(
            data=piece.data,
            first_sample=first,
            time=self._start_utc + (first - self._start_sample) / self._rate,
            time_uncertainty=0.0,
            arrived=arrived,
            channels=self._channels,
            rate=self._rate,
            segment=self._segment,
        )

    def close(self) -> None:
        self._pieces, self._next, self._pacer = iter(()), None, None

    @property
    def timing(self) -> Timing:
        return Timing(rate_true=self._rate or None)

    def _play(self, layout: BoardLayout | None, block: int) -> Iterator[_Piece]:
        while True:
            for file in self._settings.files:
                recording = self._load(file, layout)
                end_s = 0.0
                for segment in recording.segments:
                    lost = max(0, round((segment.start - end_s) * recording.rate))
                    for at in range(0, segment.n_samples, block):
                        yield _Piece(segment.data[:, at : at + block], 0 if at else lost, at == 0)
                    end_s = segment.start + segment.n_samples / recording.rate
            if not self._settings.loop:
                return

    @staticmethod
    def _load(file: str, layout: BoardLayout | None) -> Recording:
        try:
            return open_recording(Path(file), layout)
        except RecordingError as error:
            raise SourceRefused(str(error)) from error


def _layout(board: str | int | None) -> BoardLayout | None:
    if board is None:
        return None
    from daemon.sources.brainflow_board import board_layout

    return board_layout(board)
