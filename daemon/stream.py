"""One `[[stream]]`: from its source through the pipeline to the outbox."""

from __future__ import annotations

import asyncio
import math
import time

import structlog
from msgspec import structs

from daemon import config
from daemon.clocks import ClockWatch
from daemon.commands import Patient
from daemon.errors import CommandError
from daemon.inference import Inference, Request
from daemon.intake import Intake
from daemon.messages import StreamHealth, StreamState
from daemon.record_commands import Ask, Sign
from daemon.recorder import Recorder
from daemon.scribe import Scribe
from daemon.sources.base import SourceEvent
from daemon.standing import Standing
from daemon.telling import Telling, labelled
from daemon.vigil import Vigil
from daemon.wearer import Wearer
from pipeline.errors import MontageError
from pipeline.prompt import Person
from pipeline.records import Calibrating, Chunk, CompressedWindow, Reading, Unreadable
from pipeline.session import Session, Step, abstention
from pipeline.settings import PipelineSettings

log = structlog.get_logger("stream")


class Stream:
    """Owns its source, its session and its wearer. Lives in the event loop."""

    def __init__(
        self,
        settings: config.Stream,
        pipeline: PipelineSettings,
        inference: Inference,
        telling: Telling,
        scribe: Scribe | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """scribe: None where no records are made. recorder: None where nothing is recorded."""
        self.name = settings.name
        self._settings = settings
        self._pipeline = pipeline
        self._telling = telling
        self._scribe = scribe
        self._recorder = recorder
        self._intake = Intake(settings.name, settings.source, self._on_event, recorder)
        # Half a window, so that a label is not older than a window when it is told.
        fresh_s = math.inf if self._intake.lossless else pipeline.window / 2
        self._lane = inference.lane(
            settings.name, self._deliver, lossless=self._intake.lossless, fresh_s=fresh_s
        )
        self._clocks = ClockWatch()
        self._vigil = Vigil(settings.source.stall_s, settings.min_quality)
        wanted = settings.calibration_s
        rest_s = pipeline.calibration if wanted is None else wanted
        self._standing = Standing(settings.name, self._vigil, telling, rest_s)
        self._wearer = Wearer(settings.subject, Person(settings.age, settings.gender))
        self._session: Session | None = None
        self._shape: tuple[tuple[str, ...], float] | None = None
        self.settled = asyncio.Event()
        """Set once samples have come, or it was admitted why none do."""
        self._windows = self._calibrating = self._labels = self._abstained = 0

    async def run(self) -> None:
        """Until the source has ended or `stop` was called, and everything behind it is through."""
        self._tell_status()
        async for chunk in self._intake:
            await self._take(chunk)
        await self._lane.drained()
        self._close_episode()
        if self._recorder is not None:
            await asyncio.to_thread(self._recorder.close)
        self._on_event(SourceEvent("ended", "stopped", time.time()))

    def stop(self) -> None:
        """Closes the source; `run` returns when what it sent before is through."""
        self._intake.stop()

    def abandon(self) -> None:
        """For a source that does not close: its thread is left behind."""
        self._intake.abandon()

    @property
    def intake(self) -> Intake:
        """Where its samples come in: what the watchdog looks at."""
        return self._intake

    @property
    def told(self) -> str:
        """The state and, where there is one, its reason, in one line."""
        state, detail = self._vigil.state(time.monotonic())
        return f"{self.name} {state} ({detail})" if detail else f"{self.name} {state}"

    @property
    def state(self) -> StreamState:
        return self._vigil.state(time.monotonic())[0]

    @property
    def samples(self) -> int:
        """Received so far."""
        return self._intake.stats.samples

    def watch(self) -> None:
        """To be called now and then: silence is an event that nobody reports."""
        self._mind_clock()
        if self._scribe is not None:
            self._scribe.watch()
        self._tell_status()

    def calibrate(self) -> str:
        # What is read against the new rest is not the continuation of what was read against the old one.
        self._begin_anew(self._wearer.subject, self._wearer.person)
        if self._session is not None:
            self._session.calibrate()
        self._standing.begin_rest()
        self._tell_status()
        return f"calibrating: rest for {self._standing.calibration_s:g} s"

    def patient(self, patient: Patient) -> str:
        person = Person(patient.age, patient.gender)
        if patient.subject == self._wearer.subject:
            self._wearer.person = person
            if self._scribe is not None:
                self._scribe.learn(patient)
            return "taken over from the next window on"
        # Another person's rest says nothing about this one.
        self._begin_anew(patient.subject, person)
        if self._recorder is not None:
            self._recorder.meet(patient.subject)
        if self._scribe is not None:
            self._scribe.meet(patient)
        return f"new subject {patient.subject}, {self.calibrate()}"

    def take_over(self, settings: config.Stream) -> None:
        """A changed configuration: the threshold, and who wears the headset where the file says so anew.

        Whatever the command `patient` has said meanwhile stays, unless it is the file that has changed.
        """
        before, self._settings = self._settings, settings
        self._vigil.min_quality = settings.min_quality
        if settings.subject != before.subject:
            self.patient(Patient(subject=settings.subject, age=settings.age, gender=settings.gender))
        elif self._wearer.subject == settings.subject and (settings.age, settings.gender) != (
            before.age,
            before.gender,
        ):
            known = self._scribe.context if self._scribe is not None else Patient(self._wearer.subject)
            self.patient(structs.replace(known, age=settings.age, gender=settings.gender))

    def draft(self) -> asyncio.Future[str]:
        return self._records.draft()

    def sign(self, command: Sign) -> asyncio.Future[str]:
        return self._records.sign(command)

    def ask(self, command: Ask, correlation: bytes | None) -> asyncio.Future[str]:
        return self._records.ask(command, self.state, correlation)

    def health(self) -> StreamHealth:
        stats = self._intake.stats
        return StreamHealth(
            state=self.state,
            samples=stats.samples,
            lost=stats.lost,
            gaps=stats.gaps,
            reconnects=stats.reconnects,
            backward_stamps=stats.backwards,
            chunks_waiting=self._intake.waiting,
            chunks_dropped=self._intake.dropped,
            samples_dropped=self._intake.samples_dropped,
            windows=self._windows,
            windows_calibrating=self._calibrating,
            windows_waiting=len(self._lane),
            windows_dropped=self._lane.dropped,
            windows_stale=self._lane.stale,
            labels=self._labels,
            abstained=self._abstained,
            rate_nominal=stats.rate_nominal,
            rate_true=stats.rate_true,
            recorded=self._recorder.recorded if self._recorder else None,
            unrecorded=self._recorder.unrecorded if self._recorder else None,
        )

    def _on_event(self, event: SourceEvent) -> None:
        self._vigil.event(event)
        self._tell_status()

    async def _take(self, chunk: Chunk) -> None:
        self._vigil.samples(time.monotonic())
        self._vigil.rate(self._intake.stats.rate_fault)
        if (chunk.channels, chunk.rate) != self._shape:
            self._begin_session(chunk)
        if self._session is not None:
            self._standing.rest(chunk)
            for step in self._session.feed(chunk):
                await self._step(step, self._session.electrodes)
        self._tell_status()

    async def _step(self, step: Step, electrodes: tuple[str, ...]) -> None:
        self._windows += 1
        self._vigil.window(step.quality.score, step.reason if isinstance(step, Unreadable) else "")
        self._telling.quality(electrodes, step.quality)
        if isinstance(step, Calibrating):
            self._calibrating += 1
            return
        self._standing.end_rest()
        if self._scribe is not None and isinstance(step, CompressedWindow):
            self._scribe.window(step)
        if self._settings.windows and isinstance(step, CompressedWindow):
            self._telling.window(step, self._wearer.subject)
        item = abstention(step) if isinstance(step, Unreadable) else step
        await self._lane.put(Request(item, self._wearer))

    def _deliver(self, reading: Reading, wearer: Wearer) -> None:
        self._mind_clock()
        reading = wearer.smoother.feed(reading)
        self._abstained += reading.abstained
        self._labels += not reading.abstained
        self._telling.emotion(reading, wearer.subject)
        if self._recorder is not None:
            self._recorder.note("label", reading.span.end, of=wearer.subject, **labelled(reading))
        # The episodes of a wearer who has been replaced were closed then.
        if wearer is self._wearer:
            told = wearer.episodes.feed(reading)
            self._telling.episodes(wearer, told)
            if self._scribe is not None:
                self._scribe.reading(reading, told)

    def _mind_clock(self) -> None:
        """An episode's length is that of its UTC times: none may lie across a step of the clock."""
        if self._clocks.step():
            self._close_episode()

    def _begin_anew(self, subject: str, person: Person) -> None:
        """What was read so far is neither smoothed nor continued; what is being read is still told."""
        self._close_episode()
        self._wearer = Wearer(subject, person)

    def _close_episode(self) -> None:
        """Whatever runs ends now, though no reading says so."""
        told = self._wearer.episodes.close()
        self._telling.episodes(self._wearer, told)
        if self._scribe is not None:
            self._scribe.closed(told)

    @property
    def _records(self) -> Scribe:
        if self._scribe is None:
            raise CommandError("records are switched off: set drafts.enabled")
        return self._scribe

    def _begin_session(self, chunk: Chunk) -> None:
        """A stream that comes back with other channels or another rate is another measurement."""
        self._shape = (chunk.channels, chunk.rate)
        self._vigil.refuse("")
        try:
            self._session = Session(
                self._pipeline,
                chunk.channels,
                chunk.rate,
                mains=self._settings.mains_hz,
                calibration=self._settings.calibration_s,
            )
        except MontageError as why:
            self._session = None
            self._vigil.refuse(str(why))
            log.error("stream cannot be read", stream=self.name, reason=str(why))
        self._standing.begin_rest()

    def _tell_status(self) -> None:
        if self._vigil.settled:
            self.settled.set()
        self._standing.tell(self._wearer.subject)
