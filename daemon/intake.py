"""From a source's thread into the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import structlog

from daemon.channel import Channel
from daemon.recorder import Recorder
from daemon.sources import make_source
from daemon.sources.base import SourceEvent, SourceStats
from daemon.sources.feed import Feed
from daemon.sources.settings import RecordingSource, SourceSettings
from pipeline.records import Chunk

log = structlog.get_logger("source")

# Chunks between the source's thread and the event loop: some 10 s of a headset that sends every 40 ms,
# more than any pause of ours; beyond that labels would come too late to mean anything.
CHUNK_ROOM = 256
LOSSLESS_CHUNK_ROOM = 16


class Intake:
    """Owns one source, its thread and the channel behind it. Iterate over it for the chunks.

    samples_dropped: thrown away because the event loop was too slow.
    """

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        on_event: Callable[[SourceEvent], None],
        recorder: Recorder | None = None,
    ) -> None:
        """on_event: called in the event loop with whatever the source reports.

        recorder: is given what the source gave, before anything of ours can hold it up.
        """
        # A recording that is only read can wait for us; whatever plays in real time cannot.
        self.lossless = isinstance(settings, RecordingSource) and settings.speed == 0
        self.samples_dropped = 0
        self.name = name
        self.driver_patience_s = float(getattr(settings, "timeout_s", 0.0))
        self._on_event = on_event
        room = LOSSLESS_CHUNK_ROOM if self.lossless else CHUNK_ROOM
        self._channel = Channel[Chunk](name, room, lossless=self.lossless, lost=self._drop)
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._recorder = recorder
        self._feed = Feed(make_source(settings), self._put, self._report, settings.stall_s)
        self._thread = threading.Thread(target=self._body, name=f"source:{name}", daemon=True)
        self._source_segment: int | None = None
        self._segment = -1
        self._next_sample = 0
        self._given = self._taken = 0  # chunks
        # What the source said, and how many chunks it had given by then.
        self._said: deque[tuple[int, SourceEvent]] = deque()
        self._over = False
        self._seen: tuple[int, float] | None = None

    @property
    def stats(self) -> SourceStats:
        return self._feed.stats

    @property
    def waiting(self) -> int:
        """Chunks in the channel."""
        return len(self._channel)

    @property
    def dropped(self) -> int:
        """Chunks that the channel threw away."""
        return self._channel.dropped

    @property
    def alive(self) -> bool:
        """False where the thread has died without having been asked to."""
        return self._thread.is_alive() or self._channel.closed

    @property
    def driver_silent_s(self) -> float:
        """Since the source's driver last returned, seconds; 0 where it has nothing to do."""
        if not self._thread.is_alive() or self._stop.is_set():
            return 0.0
        if self.lossless and self.waiting >= LOSSLESS_CHUNK_ROOM:
            return 0.0  # it waits for us
        return time.monotonic() - self._feed.heard

    def untaken_s(self) -> float:
        """For how long, as seen by its calls, chunks have waited and none was taken, seconds."""
        now = time.monotonic()
        if not self.waiting or self._seen is None or self._seen[0] != self._taken:
            self._seen = (self._taken, now)
        return now - self._seen[1]

    def stop(self) -> None:
        """Closes the source; the iteration ends after what it sent before."""
        self._stop.set()

    def abandon(self) -> None:
        """For a source that does not close: its thread is left behind."""
        self._stop.set()
        self._channel.close()

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        """Until the source has ended or was stopped. Raises what its thread died of."""
        self._thread.start()
        try:
            async for chunk in self._channel:
                self._taken += 1
                yield self._renumbered(chunk)
                self._tell()
                # Many may be waiting; others want their turn.
                await asyncio.sleep(0)
        finally:
            self.abandon()
            self._over = True
            self._tell()
        if self._failure is not None:
            raise self._failure

    def _body(self) -> None:
        """The thread."""
        try:
            self._feed.run(self._stop)
        except BaseException as failure:  # raised in the event loop, where it ends the daemon
            self._failure = failure
        finally:
            self._channel.close()

    def _put(self, chunk: Chunk) -> None:
        """In the thread."""
        if self._recorder is not None:
            self._recorder.put(chunk)
        self._given += 1
        self._channel.put(chunk)

    def _drop(self, chunk: Chunk) -> None:
        """In the thread."""
        self.samples_dropped += chunk.n_samples

    def _report(self, event: SourceEvent) -> None:
        """In the thread."""
        if self._recorder is not None:
            self._recorder.note("source", event.at, state=event.state, detail=event.detail)
        say = log.info if event.state in ("connecting", "online", "ended") else log.warning
        say(f"source {event.state}", stream=self.name, detail=event.detail)
        if not self._loop.is_closed():
            self._said.append((self._given, event))
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        """A source that is lost gave some chunks before: they must not make it online once more."""
        passed = self._taken + self.dropped
        while self._said and (self._over or self._said[0][0] <= passed):
            self._on_event(self._said.popleft()[1])

    def _renumbered(self, chunk: Chunk) -> Chunk:
        """A chunk that the channel dropped is a gap like any other: what follows is a new segment."""
        missing = chunk.first_sample != self._next_sample
        if chunk.segment != self._source_segment or missing:
            self._segment += 1
        self._source_segment = chunk.segment
        self._next_sample = chunk.first_sample + chunk.n_samples
        return replace(chunk, segment=self._segment)
