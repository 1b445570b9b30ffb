"""Records one stream: from its source's thread, past everything that could hold it up, to the disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from daemon.alarms import Alarms
from daemon.clocks import utc_offset
from daemon.recording_file import RecordingFile
from daemon.shelf import Shelf
from pipeline.records import Chunk

log = structlog.get_logger("recorder")

# A kill costs what was not written yet, a power cut what was not synced: both stay within a second.
_WRITE_S = 0.2
_SYNC_S = 0.8
# How often it is looked whether there is room, seconds.
_LOOK_S = 10.0
# What may wait for a disk that hangs: a minute of 64 channels at 1000 Hz.
_MOST_WAITING_BYTES = 16 * 2**20

# Events that wait for a file.
_MOST_EARLY = 100


@dataclass(frozen=True, slots=True)
class _Event:
    event: str
    about: Mapping[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class _Subject:
    name: str


class Recorder:
    """Never raises into, and never blocks, whoever hands it samples. Use as a context manager.

    recorded, unrecorded: samples on the disk, and samples that could not be put there. files: begun.
    """

    def __init__(self, stream: str, subject: str, shelf: Shelf, alarms: Alarms) -> None:
        self.recorded = self.unrecorded = self.files = 0
        self._stream = stream
        self._subject = subject
        self._shelf = shelf
        self._alarms = alarms
        self._alarm = f"recording-{stream}"
        self._waiting: deque[Chunk | _Event | _Subject] = deque()
        self._early: deque[_Event] = deque(maxlen=_MOST_EARLY)
        self._bytes = 0
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

    def put(self, chunk: Chunk) -> None:
        """From any thread. Where the disk hangs for too long the oldest samples are dropped and counted."""
        with self._state:
            self._waiting.append(chunk)
            self._bytes += chunk.data.nbytes
            while self._bytes > _MOST_WAITING_BYTES:
                oldest = self._waiting.popleft()
                if isinstance(oldest, Chunk):
                    self._bytes -= oldest.data.nbytes
                    self.unrecorded += oldest.n_samples

    def note(self, event: str, at: float, **about: Any) -> None:
        """Something that happened. at: UTC, seconds since the Unix epoch. about: what JSON can hold."""
        with self._state:
            self._waiting.append(_Event(event, about, at))

    def meet(self, subject: str) -> None:
        """What comes from now on is another person's, and goes into a file of their own."""
        with self._state:
            self._waiting.append(_Subject(subject))

    def _body(self) -> None:
        """The thread."""
        stop = False
        while not stop:
            with self._state:
                self._state.wait_for(lambda: self._stop, _WRITE_S)
                stop = self._stop
                items, self._waiting, self._bytes = self._waiting, deque(), 0
            for item in items:
                try:
                    self._take(item)
                except OSError as why:
                    self._fail(item, str(why.strerror or why))
            self._sync()
        self._end("stopped")

    def _take(self, item: Chunk | _Event | _Subject) -> None:
        if isinstance(item, _Subject):
            self._end("another subject")
            self._subject = item.name
        elif isinstance(item, _Event):
            # What comes before the first sample, as that the source is online, waits for its file.
            self._early.append(item)
            if self._file is not None:
                self._tell(self._file)
        elif self._may():
            file = self._open(item)
            file.add(item)
            self._tell(file)
            self.recorded += item.n_samples
        else:
            self.unrecorded += item.n_samples

    def _tell(self, file: RecordingFile) -> None:
        while self._early:
            event = self._early[0]
            file.note(event.event, event.about, event.at)
            self._early.popleft()

    def _may(self) -> bool:
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            self._lack = self._shelf.lack()
            if self._lack:
                self._end("no room")
                self._alarms.begin(self._alarm, f"{self._stream} is not recorded: {self._lack}")
            else:
                self._alarms.end(self._alarm)
        return not self._lack

    def _open(self, chunk: Chunk) -> RecordingFile:
        file, settings = self._file, self._shelf.settings
        if file is not None:
            old = time.monotonic() - self._begun >= settings.rotate_min * 60
            if file.fits(chunk) and not old and file.bytes < settings.rotate_mib * 2**20:
                return file
            self._end("rotated")
        path = self._shelf.path(self._subject, self._stream, chunk.time)
        self._file = RecordingFile(path, self._stream, self._subject, chunk, utc_offset())
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
            except OSError as why:
                self._fail(None, str(why.strerror or why))

    def _end(self, why: str) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as error:
            log.error("recording is not ended properly", file=str(file.path), reason=str(error))
        else:
            log.info("recording ended", file=str(file.path), samples=file.samples, reason=why)

    def _fail(self, item: Chunk | _Event | _Subject | None, why: str) -> None:
        """The labels go on whatever happens here; it is tried again when it is next looked for room."""
        self._lack = why
        self._looked = time.monotonic()
        if isinstance(item, Chunk):
            self.unrecorded += item.n_samples
        self._end(why)
        self._alarms.begin(self._alarm, f"{self._stream} is not recorded: {why}: make room")
