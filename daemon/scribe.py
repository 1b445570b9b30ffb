"""One stream's part in the records: what is gathered, and when a draft is due."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import structlog

from daemon.draft_settings import Drafts
from daemon.drafting import Drafting
from daemon.errors import CommandError
from daemon.record_commands import Ask, Sign
from pipeline.drafts.answering import Known
from pipeline.drafts.context import PatientContext
from pipeline.drafts.course import Course
from pipeline.drafts.drafting import Order
from pipeline.drafts.facts import Maker
from pipeline.drafts.gathering import Gatherer
from pipeline.records import CompressedWindow, Episode, Reading

log = structlog.get_logger("scribe")

# Ended episodes that questions may be about without looking into the archive.
_MOST_PAST = 100


class Scribe:
    """Lives in the event loop; whatever takes time is handed to `Drafting`."""

    def __init__(
        self,
        stream: str,
        settings: Drafts,
        maker: Maker,
        hop: float,
        context: PatientContext,
        drafting: Drafting,
    ) -> None:
        """hop: distance between windows, seconds."""
        self._stream = stream
        self._settings = settings
        self._maker = maker
        self._hop = hop
        self._drafting = drafting
        self.meet(context)

    @property
    def context(self) -> PatientContext:
        """What is known about whoever wears the headset."""
        return self._context

    def meet(self, context: PatientContext) -> None:
        """Another person wears the headset from now on."""
        self._context = context
        self._gatherer = Gatherer(self._hop)
        self._past: deque[Episode] = deque(maxlen=_MOST_PAST)
        self._last: Course | None = None
        self._reading: Reading | None = None
        self._drafted = 0.0
        self._label = ""
        self._drafting.enter(self._stream, "patient context", subject=context.subject)

    def learn(self, context: PatientContext) -> None:
        """More is known about the same person."""
        self._context = context
        self._drafting.enter(self._stream, "patient context", subject=context.subject)

    def window(self, window: CompressedWindow) -> None:
        self._gatherer.seen(window)

    def reading(self, reading: Reading, told: Sequence[Episode]) -> None:
        """A reading and what its episode tracker said."""
        self._reading = reading
        self._ended(self._gatherer.heard(reading, told))
        for episode in told:
            if episode.phase == "begin":
                changed = self._label not in ("", episode.label)
                self._label, self._drafted = episode.label, time.monotonic()
                if changed and self._settings.on_change:
                    self._order_running("stable change")

    def closed(self, told: Sequence[Episode]) -> None:
        """Ends that no reading caused."""
        self._ended(self._gatherer.told(told))

    def watch(self) -> None:
        """To be called now and then: an episode that goes on is due for a draft."""
        every = self._settings.every_min
        if every is not None and time.monotonic() - self._drafted >= every * 60:
            self._drafted = time.monotonic()
            self._order_running(f"every {every:g} min")

    def draft(self) -> asyncio.Future[str]:
        """Raises CommandError."""
        course = self._gatherer.running or self._last
        if course is None:
            raise CommandError("there has been no episode of this subject yet")
        return self._drafting.draft(self._order(course, "command"))

    def sign(self, command: Sign) -> asyncio.Future[str]:
        """Raises CommandError."""
        return self._drafting.sign(self._stream, command)

    def ask(self, command: Ask, state: str, correlation: bytes | None) -> asyncio.Future[str]:
        """state: of the stream's samples. Raises CommandError."""
        known = Known(
            subject=self._context.subject,
            state=state,
            reading=self._reading,
            running=self._gatherer.running,
            past=list(reversed(self._past)),
            labels=self._maker.labels,
            now=time.time(),
        )
        return self._drafting.ask(self._stream, command, known, correlation)

    def _ended(self, courses: Sequence[Course]) -> None:
        for course in courses:
            self._past.append(course.episode)
            self._last = course
            long_enough = course.episode.end - course.episode.start >= self._settings.min_s
            if self._settings.on_end and long_enough:
                self._try(course, "end of the episode")

    def _order_running(self, trigger: str) -> None:
        course = self._gatherer.running
        if course is not None:
            self._try(course, trigger)

    def _try(self, course: Course, trigger: str) -> None:
        try:
            self._drafting.draft(self._order(course, trigger)).add_done_callback(_seen)
        except CommandError as why:
            log.error("a draft is not made", stream=self._stream, trigger=trigger, reason=str(why))

    def _order(self, course: Course, trigger: str) -> Order:
        return Order(course, self._context, self._maker, trigger, time.time(), self._stream)


def _seen(made: asyncio.Future[str]) -> None:
    """`Drafting` has logged what went wrong; nobody else waits for this one."""
    if not made.cancelled():
        made.exception()
