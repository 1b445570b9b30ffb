"""One XDF file under way: the EEG as it came, and beside it a stream of what happened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from daemon.clocks import STEP_S
from pipeline.recordings import xdf_chunks as xdf
from pipeline.recordings.xdf import EVENTS
from pipeline.records import Chunk, Float64

_EEG, _EVENTS = 1, 2
# As LabRecorder does it, seconds: enough for a straight line through a drifting clock.
_OFFSET_EVERY_S = 5.0
_BOUNDARY_EVERY_S = 10.0
# A clock that jumps by this much is another clock: one file has one.
_SAME_CLOCK_S = 0.5


class RecordingFile:
    """Raises OSError from whatever writes. bytes: written so far. samples: the same.

    Its clock is the host's monotonic one, which nobody can set; utc_offset is what to add for UTC (s).
    """

    def __init__(self, path: Path, stream: str, subject: str, first: Chunk, utc_offset: float) -> None:
        """Begins a new file; the chunk itself is not written yet."""
        self.path = path
        self.samples = self.bytes = 0
        self._utc_offset = utc_offset
        self._shape = (first.channels, first.rate)
        self._offset = _offset(first)
        self._first = self._last = 0.0
        self._events = 0
        self._event_times = (0.0, 0.0)
        self._offset_at = self._boundary_at = -np.inf
        self._segment: int | None = None
        self._next_sample = first.first_sample
        begun = datetime.fromtimestamp(first.time, UTC)
        # Others have no business with it; and one that is there already is never touched.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        channel = {"unit": "microvolts", "type": "EEG"}
        try:
            self._write(xdf.file_header({"datetime": begun.isoformat()}))
            eeg: xdf.Tree = {
                "name": stream.strip() or "unnamed",
                "type": "EEG",
                "channel_count": str(len(first.channels)),
                "nominal_srate": repr(float(first.rate)),
                "channel_format": "float32",
                "source_id": subject,
                "desc": {
                    "channels": {"channel": [{"label": name, **channel} for name in first.channels]},
                    "clock": {"utc_offset": repr(utc_offset)},
                    "research_use_only": "true",
                },
            }
            events = {"name": f"{stream}-events", "type": EVENTS, "channel_count": "1", "nominal_srate": "0"}
            self._write(xdf.stream_header(_EEG, eeg))
            self._write(xdf.stream_header(_EVENTS, events | {"channel_format": "string"}))
        except Exception:
            self.discard()
            raise

    def fits(self, chunk: Chunk) -> bool:
        """Whether it may be written here: same channels, rate and clock."""
        same_clock = abs(_offset(chunk) - self._offset) < _SAME_CLOCK_S
        return same_clock and (chunk.channels, chunk.rate) == self._shape

    def add(self, chunk: Chunk, utc_offset: float) -> None:
        stamps = _stamps(chunk, utc_offset)
        offset = _offset(chunk)
        host = float(stamps[0]) + offset
        if abs(utc_offset - self._utc_offset) >= STEP_S:
            self.note("clock", {"utc_offset": utc_offset}, host)
            self._utc_offset = utc_offset
        if chunk.segment != self._segment or chunk.first_sample != self._next_sample:
            lost = chunk.first_sample - self._next_sample
            about = {"sample": self.samples, "first_sample": chunk.first_sample, "lost": lost}
            # Before its samples, so that a file that breaks off between the two still knows of the gap.
            self.note("segment", about | {"segment": chunk.segment}, host)
            self._segment = chunk.segment
        self._next_sample = chunk.first_sample + chunk.n_samples
        parts = []
        if host - self._offset_at >= _OFFSET_EVERY_S:
            self._offset_at = host
            parts.append(xdf.clock_offset(_EEG, float(stamps[0]), offset))
        if host - self._boundary_at >= _BOUNDARY_EVERY_S:
            self._boundary_at = host
            parts.append(xdf.boundary())
        parts.append(xdf.samples(_EEG, chunk.data, stamps))
        self._write(b"".join(parts))
        self._first = self._first if self.samples else float(stamps[0])
        self._last = float(stamps[-1])
        self.samples += chunk.n_samples

    def note(self, event: str, about: Mapping[str, Any], at: float) -> None:
        """at: monotonic clock, seconds."""
        self._write(xdf.texts(_EVENTS, [(at, json.dumps({"event": event, **about}))]))
        self._event_times = (self._event_times[0] if self._events else at, at)
        self._events += 1

    def sync(self) -> None:
        """Returns when a power cut costs nothing of it any more."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Ends it properly."""
        try:
            self._write(xdf.stream_footer(_EEG, self._first, self._last, self.samples))
            self._write(xdf.stream_footer(_EVENTS, *self._event_times, self._events))
            self.sync()
        finally:
            self._abandon()

    def discard(self) -> None:
        """For a file that has come to hold nothing: it is no more."""
        self._abandon()
        self.path.unlink(missing_ok=True)

    def _abandon(self) -> None:
        """Leaves it as it is, readable up to its last whole chunk."""
        if self._file >= 0:
            file, self._file = self._file, -1
            os.close(file)

    def _write(self, data: bytes) -> None:
        """All of it, or the file is cut back to what was whole: a full disk takes part of a write."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self._file, data[done:])
        except OSError:
            os.ftruncate(self._file, self.bytes)
            os.lseek(self._file, self.bytes, os.SEEK_SET)
            raise
        self.bytes += len(data)


def _stamps(chunk: Chunk, utc_offset: float) -> Float64:
    """As the source gave them; where it gives none, the host's by sample count."""
    if chunk.stamps is not None:
        return chunk.stamps
    return chunk.time - utc_offset + np.arange(chunk.n_samples) / chunk.rate


def _offset(chunk: Chunk) -> float:
    return 0.0 if chunk.stamps is None else chunk.offset
