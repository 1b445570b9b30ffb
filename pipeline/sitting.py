"""Recordings of one person, one after the other, as the chunks of one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import RecordingError
from pipeline.recordings import Recording
from pipeline.records import Chunk

# Any number of samples at a time gives the same windows; this one keeps memory small.
_BLOCK = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A chunk and where it comes from: `offset_s` is the stream's time at the recording's first sample."""

    recording: Recording
    offset_s: float
    chunk: Chunk


def play(recordings: Sequence[Recording], block: int = _BLOCK) -> Iterator[Played]:
    """All samples in order; each recording, and each gap within one, begins a new segment.

    Time is UTC where the recording tells its start, else seconds since the stream's first sample.
    Raises RecordingError where the recordings differ in channels or rate.
    """
    segment = before = 0
    for recording in recordings:
        first = recordings[0]
        if (recording.channels, recording.rate) != (first.channels, first.rate):
            raise RecordingError(
                f"{recording.path} has {len(recording.channels)} channels at {recording.rate:g} Hz, "
                f"{first.path} {len(first.channels)} at {first.rate:g} Hz, or other names: "
                "files given together must be one sitting with one headset"
            )
        rate, end = recording.rate, before
        origin = before / rate if recording.start_utc is None else recording.start_utc
        for stretch in recording.segments:
            start = before + round(stretch.start * rate)
            for at in range(0, stretch.n_samples, block):
                data = stretch.data[:, at : at + block]
                chunk = Chunk(
                    data=data,
                    first_sample=start + at,
                    time=origin + stretch.start + at / rate,
                    time_uncertainty=0.0,
                    arrived=0.0,
                    channels=recording.channels,
                    rate=rate,
                    segment=segment,
                )
                yield Played(recording, before / rate, chunk)
            end = start + stretch.n_samples
            segment += 1
        before = end
