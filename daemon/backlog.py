"""What waits for a recorder's disk: samples and events in their order, each with the person they are of."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from pipeline.records import Chunk

# What may wait for a disk that hangs: a minute of 64 channels at 1000 Hz, and an hour of labels.
_MOST_BYTES = 16 * 2**20
_MOST_EVENTS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """utc_offset: UTC minus the monotonic clock, seconds. of: who wore the headset then, a subject."""

    chunk: Chunk
    utc_offset: float
    of: str


@dataclass(frozen=True, slots=True)
class Event:
    """at: monotonic clock, seconds. of: whose it is, None where nobody's, as a lost headset."""

    event: str
    about: Mapping[str, Any]
    at: float
    of: str | None


class Backlog:
    """Where it is full the oldest samples, or the oldest events, go. Its owner sees to threads.

    samples_dropped, events_dropped: since it was made.
    """

    def __init__(self) -> None:
        self.samples_dropped = self.events_dropped = 0
        # Numbered in the order of their coming, so that either kind can go by itself.
        self._samples: deque[tuple[int, Samples]] = deque()
        self._events: deque[tuple[int, Event]] = deque()
        self._number = self._bytes = 0

    def add(self, item: Samples | Event) -> None:
        self._number += 1
        if isinstance(item, Event):
            self._events.append((self._number, item))
            if len(self._events) > _MOST_EVENTS:
                self._events.popleft()
                self.events_dropped += 1
            return
        self._samples.append((self._number, item))
        self._bytes += item.chunk.data.nbytes
        while self._bytes > _MOST_BYTES:
            chunk = self._samples.popleft()[1].chunk
            self._bytes -= chunk.data.nbytes
            self.samples_dropped += chunk.n_samples

    def take(self) -> list[Samples | Event]:
        """All that waits, the oldest first."""
        numbered: list[tuple[int, Samples | Event]] = [*self._samples, *self._events]
        numbered.sort(key=itemgetter(0))
        self._samples.clear()
        self._events.clear()
        self._bytes = 0
        return [item for _, item in numbered]
