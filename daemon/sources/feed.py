"""The body of a source's thread: opens, reads, notices stalls, opens again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from daemon.backoff import Backoff
from daemon.clocks import ClockWatch
from daemon.sources.base import (
    Source,
    SourceEnded,
    SourceEvent,
    SourceLost,
    SourceRefused,
    SourceStats,
    State,
    StreamInfo,
)
from pipeline.records import Chunk

_POLL_S = 0.2  # bounds how long a stop request waits for a read
_MOST_S = 10.0  # between two attempts
# A headset that is there and has not begun is left open for so long: what it sends while it is being opened
# anew is heard by nobody, and before its first sample nothing tells that.
_BEGINS_S = 15.0
_REFUSED_S = 10.0  # someone has to mend it, so there is no hurry
_RATE_TOLERANCE = 0.01  # headsets keep within 0.1 %: above 1 % the nominal rate is wrong
_RATE_MENDED = 0.007  # and right again, without wavering between the two


class Feed:
    """Carries the samples of one source to `put` until it ends or is stopped.

    put: called from this thread with every chunk; must not block for long.
    report: called from this thread with every change of state and every warning.
    """

    def __init__(
        self,
        source: Source,
        put: Callable[[Chunk], None],
        report: Callable[[SourceEvent], None],
        stall_s: float = 2.0,
        clocks: ClockWatch | None = None,
    ) -> None:
        self._source = source
        self._put = put
        self._report = report
        self._stall_s = stall_s
        self._stats = SourceStats()
        self._info: StreamInfo | None = None
        self._last: tuple[State, str] | None = None
        self._next_sample: int | None = None
        self._segment: int | None = None
        self._rate_fault = ""
        self._clocks = clocks or ClockWatch()
        self.heard = time.monotonic()
        """When the source's driver last returned, with samples or without: monotonic seconds."""

    @property
    def stats(self) -> SourceStats:
        """A snapshot; may be read from any thread."""
        return self._stats

    @property
    def info(self) -> StreamInfo | None:
        """What the newest opening found; None before the first."""
        return self._info

    def run(self, stop: threading.Event) -> None:
        """Returns when `stop` is set or the source has ended; the source is closed then."""
        self._say("connecting", "")
        backoff = Backoff(0.25, _MOST_S)
        while not stop.is_set():
            before = self._stats.samples
            self.heard = time.monotonic()
            try:
                self._connect(stop)
                return
            except SourceEnded as ended:
                self._say("ended", str(ended))
                return
            except _StallError as stalled:
                self._say("stalled", str(stalled))
            except _SleepError as slept:
                # What lies in buffers is from before, and clocks of other hosts have to be compared anew.
                self._say("lost", str(slept))
                backoff.begin_anew()
            except SourceLost as lost:
                self._say("lost", str(lost))
            except SourceRefused as refused:
                self._say("refused", str(refused))
                stop.wait(_REFUSED_S * random.uniform(0.8, 1.2))
                continue
            finally:
                self._source.close()
                self.heard = time.monotonic()
            if self._stats.samples > before:
                backoff.begin_anew()
            stop.wait(backoff.pause_s())

    def _connect(self, stop: threading.Event) -> None:
        """One connection: from opening to the exception that ends it, or to `stop`."""
        self._info = self._source.open()
        self._stats = replace(self._stats, rate_nominal=self._info.rate)
        for warning in self._info.warnings:
            self._warn(warning)
        first = True
        heard = time.monotonic()
        while not stop.is_set():
            self._mind_clocks()
            chunk = self._source.read(min(_POLL_S, self._stall_s))
            now = self.heard = time.monotonic()
            if chunk is None:
                silent = now - heard
                if silent >= (max(self._stall_s, _BEGINS_S) if first else self._stall_s):
                    raise _StallError(f"no samples for {silent:.1f} s")
                if silent >= self._stall_s:
                    self._say("stalled", "found, and sends no samples yet")
                continue
            heard = now
            self._count(chunk, first)
            if first:
                # Only samples prove that a stream is there.
                self._say("online", self._info.description)
                first = False
            self._put(chunk)

    def _count(self, chunk: Chunk, first_of_connection: bool) -> None:
        stats = self._stats
        lost = 0 if self._next_sample is None else chunk.first_sample - self._next_sample
        known = self._segment is not None
        broken = known and chunk.segment != self._segment
        self._next_sample = chunk.first_sample + chunk.n_samples
        self._segment = chunk.segment
        timing = self._source.timing
        self._stats = replace(
            stats,
            samples=stats.samples + chunk.n_samples,
            lost=stats.lost + lost,
            gaps=stats.gaps + (broken and not first_of_connection),
            reconnects=stats.reconnects + (known and first_of_connection),
            rate_true=timing.rate_true,
            backwards=timing.backwards,
        )
        if timing.backwards > stats.backwards:
            self._warn("time stamps stepped backwards: a new segment begins")
        self._check_rate(chunk.rate, timing.rate_true)

    def _check_rate(self, nominal: float, true: float | None) -> None:
        """A rate that lies moves every band and every time by as much."""
        if true is None:
            return
        wrong = abs(true / nominal - 1)
        if wrong > _RATE_TOLERANCE and not self._rate_fault:
            self._rate_fault = (
                f"the stream claims {nominal:g} Hz and sends {true:.1f}: set its true rate with `rate`"
            )
            self._warn(self._rate_fault)
        elif wrong < _RATE_MENDED:
            self._rate_fault = ""
        self._stats = replace(self._stats, rate_fault=self._rate_fault)

    def _mind_clocks(self) -> None:
        step, slept = self._clocks.step(), self._clocks.slept()
        if step:
            self._warn(f"the host's clock was set by {step:+.1f} s: UTC times follow, durations do not")
        if slept:
            raise _SleepError(f"the machine slept for {slept:.0f} s")

    def _say(self, state: State, detail: str) -> None:
        # Repeated attempts that fail alike are one piece of news.
        if (state, detail) != self._last:
            self._last = (state, detail)
            self._report(SourceEvent(state, detail, time.time()))

    def _warn(self, detail: str) -> None:
        self._report(SourceEvent("warning", detail, time.time()))


class _StallError(Exception):
    """A stream that is connected and silent."""


class _SleepError(Exception):
    """The machine slept while a stream was connected."""
