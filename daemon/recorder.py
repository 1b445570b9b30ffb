"""Records one stream: from its source's thread, past everything that could hold it up, to the disk."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from typing import Any

import structlog

from daemon.alarms import Alarms
from daemon.backlog import Backlog, Event, Samples
from daemon.clocks import UtcOnHost
from daemon.recording_file import RecordingFile
from daemon.shelf import Shelf
from pipeline.records import Chunk

log = structlog.get_logger("recorder")

# A kill costs what was not written yet, a power cut what was not synced: both stay within a second.
_WRITE_S = 0.2
_SYNC_S = 0.8
# How often it is looked whether there is room, seconds.
_LOOK_S = 10.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
# Events that wait for a file.
_MOST_EARLY = 100


class Recorder:
    """Never raises into, and never blocks, whoever hands it samples. Use as a context manager.

    recorded, unrecorded: samples on the disk, and samples that could not be put there. files: begun.
    """

    def __init__(self, stream: str, subject: str, shelf: Shelf, alarms: Alarms) -> None:
        self.recorded = self.files = 0
        self._stream = stream
        self._wearer = self._subject = subject  # of the headset now, and of the file
        self._shelf = shelf
        self._alarms = alarms
        self._alarm = f"recording-{stream}"
        self._backlog = Backlog()
        self._utc = UtcOnHost()
        self._untaken = 0  # samples for which there was no room
        self._early: deque[Event] = deque(maxlen=_MOST_EARLY)
        self._state = threading.Condition()
        self._stop = False
        self._file: RecordingFile | None = None
        self._begun = self._synced = 0.0
        self._looked = -_LOOK_S
        self._lack = ""
        self._thread = threading.Thread(target=self._body, name=f"recorder:{stream}", daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Writes what waits and ends the file; closing twice does no harm. Blocks."""
        with self._state:
            self._stop = True
            self._state.notify()
        self._thread.join()

    @property
    def unrecorded(self) -> int:
        return self._untaken + self._backlog.samples_dropped

    def put(self, chunk: Chunk) -> None:
        """From any thread. Where the disk hangs for too long the oldest samples are dropped and counted."""
        with self._state:
            self._backlog.add(Samples(chunk, self._utc.offset(chunk.time), self._wearer))

    def note(self, event: str, at: float, *, of: str | None = None, **about: Any) -> None:
        """Something that happened. at: UTC, seconds since the Unix epoch. about: what JSON can hold.

        of: the subject whom it is about, so that it gets into no other's file; None where it is nobody's.
        """
        with self._state:
            self._backlog.add(Event(event, about, at - self._utc.offset(at), of))

    def meet(self, subject: str) -> None:
        """What comes from now on is another person's, and goes into a file of their own."""
        with self._state:
            self._wearer = subject

    def _body(self) -> None:
        """The thread."""
        stop, told = False, 0
        while not stop:
            with self._state:
                self._state.wait_for(lambda: self._stop, _WRITE_S)
                stop = self._stop
                items, wearer = self._backlog.take(), self._wearer
                dropped = self._backlog.events_dropped
            if dropped > told:
                log.warning("events not recorded: the disk hung", stream=self._stream, events=dropped - told)
                told = dropped
            for item in items:
                try:
                    self._take(item)
                except Exception as why:  # a thread that died would lose the rest without a word
                    self._fail(why)
            if wearer != self._subject:
                self._end("another subject")
            self._sync()
        self._end("stopped")

    def _take(self, item: Samples | Event) -> None:
        if isinstance(item, Samples):
            if item.of != self._subject:
                self._end("another subject")
                self._subject = item.of
            self._keep(item)
        else:
            # What comes before the first sample, as that the source is online, waits for its file.
            self._early.append(item)
        if self._file is not None:
            self._tell(self._file)

    def _keep(self, item: Samples) -> None:
        chunk, kept = item.chunk, False
        try:
            if self._may():
                self._open(item).add(chunk, item.utc_offset)
                kept = True
        finally:
            if kept:
                self.recorded += chunk.n_samples
            else:
                self._untaken += chunk.n_samples

    def _tell(self, file: RecordingFile) -> None:
        others = 0
        while self._early:
            event = self._early.popleft()
            if event.of not in (None, self._subject):
                others += 1  # of a window that was read, or waited for room, until after its wearer had gone
                continue
            try:
                file.note(event.event, event.about, event.at)
            except OSError:
                self._early.appendleft(event)
                raise
        if others:
            log.info("events not recorded: their wearer has gone", stream=self._stream, events=others)

    def _may(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._lack = self._shelf.lack()
            if self._lack:
                self._end("no room")
                self._alarms.begin(self._alarm, f"{self._stream} is not recorded: {self._lack}")
        return not self._lack

    def _open(self, item: Samples) -> RecordingFile:
        file, settings, chunk = self._file, self._shelf.settings, item.chunk
        if file is not None:
            old = time.monotonic() - self._begun >= settings.rotate_min * 60
            if file.fits(chunk) and not old and file.bytes < settings.rotate_mib * 2**20:
                return file
            self._end("rotated")
        path = self._shelf.path(self._subject, self._stream, chunk.time)
        self._file = RecordingFile(path, self._stream, self._subject, chunk, item.utc_offset)
        self._begun = time.monotonic()
        self.files += 1
        log.info("recording", stream=self._stream, file=str(path))
        return self._file

    def _sync(self) -> None:
        now = time.monotonic()
        if self._file is not None and now - self._synced >= _SYNC_S:
            self._synced = now
            try:
                self._file.sync()
            except Exception as why:
                self._fail(why)
            else:
                # Not sooner: a disk may say that it has room, as under a quota, and take nothing.
                self._alarms.end(self._alarm)

    def _end(self, why: str) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            if file.samples:
                file.close()
            else:
                self.files -= 1
                file.discard()
        except Exception as error:
            log.error("recording is not ended properly", file=str(file.path), reason=str(error))
        else:
            log.info("recording ended", file=str(file.path), samples=file.samples, reason=why)

    def _fail(self, why: Exception) -> None:
        """The labels go on whatever happens here; it is tried again when it is next looked for room."""
        if isinstance(why, OSError):
            self._lack = f"{why.strerror or why}: make room"
            if why.errno not in _NO_ROOM:
                self._lack = f"{why.strerror or why}: look at the disk of {self._shelf.folder}"
        else:
            log.error("recorder failed", stream=self._stream, exc_info=why)
            self._lack = f"{type(why).__name__}: {why}: an error of the program, the log has it whole"
        self._looked = time.monotonic()
        self._end(self._lack)
        self._alarms.begin(self._alarm, f"{self._stream} is not recorded: {self._lack}")
