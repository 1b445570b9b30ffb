"""One model for all streams: whatever waits, from whichever stream, is read in one run."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from daemon.turns import Turns
from daemon.wearer import Wearer
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.records import CompressedWindow, Reading

log = structlog.get_logger("inference")

# Windows of one live stream that may wait. They come every few seconds, so more than this means that
# the machine cannot keep up; a label that comes late is worth less than the next one in time.
LIVE_ROOM = 4
# A recording waits instead of dropping; larger batches then use the machine better.
LOSSLESS_ROOM = 32
# Windows of one model run: bounds its memory and how long a live window may wait behind others.
MAX_BATCH = 32


Batch = list[tuple[CompressedWindow, Person]]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A window to read, or an abstention that has to keep its place among the readings."""

    item: CompressedWindow | Reading
    wearer: Wearer


class Lane:
    """One stream's place in the queue. Full: its oldest window is dropped, counted and logged.

    dropped: since there was no room. stale: skipped, as they had waited for too long.
    """

    def __init__(
        self,
        name: str,
        deliver: Callable[[Reading, Wearer], None],
        wake: asyncio.Event,
        *,
        lossless: bool,
        fresh_s: float,
    ):
        self.name = name
        self.deliver = deliver
        self.dropped = self.stale = 0
        self._fresh_s = fresh_s
        self._lossless = lossless
        self._room = LOSSLESS_ROOM if lossless else LIVE_ROOM
        self._queue: deque[Request] = deque()
        self._reading = 0
        self._wake = wake
        self._moved = asyncio.Event()

    def __len__(self) -> int:
        """Windows that wait or are being read."""
        return len(self._queue) + self._reading

    async def put(self, request: Request) -> None:
        """Returns at once for a live stream; for a recording when there is room."""
        while self._lossless and len(self._queue) >= self._room:
            self._moved.clear()
            await self._moved.wait()
        if len(self._queue) >= self._room:
            self._queue.popleft()
            self.dropped += 1
            log.warning("too slow: a window was dropped unread", stream=self.name, in_all=self.dropped)
        self._queue.append(request)
        self._wake.set()

    async def drained(self) -> None:
        """Returns when nothing of this stream waits or is being read."""
        while len(self):
            self._moved.clear()
            await self._moved.wait()

    def take(self, most: int) -> list[Request]:
        self._skip_stale()
        taken = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        self._reading = len(taken)
        self._moved.set()
        return taken

    def _skip_stale(self) -> None:
        """After a hold-up the newest comes first: nobody is served what they felt a while ago as news."""
        skipped = 0
        oldest = time.monotonic() - self._fresh_s
        while self._queue and self._queue[0].item.span.arrived < oldest:
            self._queue.popleft()
            skipped += 1
        if skipped:
            self.stale += skipped
            log.warning("held up: windows skipped", stream=self.name, skipped=skipped, in_all=self.stale)

    def done(self) -> None:
        self._reading = 0
        self._moved.set()


class Inference:
    """Owns the reader and the one thread it runs in. turns: shared with whoever else uses the model."""

    def __init__(self, reader: Reader, turns: Turns | None = None) -> None:
        self._reader = reader
        self._turns = turns or Turns()
        self._lanes: list[Lane] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._busy_since: float | None = None

    def lane(
        self,
        name: str,
        deliver: Callable[[Reading, Wearer], None],
        *,
        lossless: bool = False,
        fresh_s: float = math.inf,
    ) -> Lane:
        """deliver: called in the event loop with each reading, in the order of the requests.

        fresh_s: windows that arrived longer ago are skipped and counted.
        """
        lane = Lane(name, deliver, self._waker(), lossless=lossless, fresh_s=fresh_s)
        self._lanes.append(lane)
        return lane

    def _waker(self) -> asyncio.Event:
        """What a new lane sets when a window waits in it."""
        return self._wake

    @property
    def busy_s(self) -> float:
        """How long the present model run has taken, seconds; 0 where there is none."""
        return 0.0 if self._busy_since is None else time.monotonic() - self._busy_since

    def close(self) -> None:
        """`run` returns once nothing waits."""
        self._closed = True
        self._wake.set()

    async def run(self) -> None:
        """Until closed. What the reader raises ends the daemon: such a model is not to be trusted."""
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as thread:
            while True:
                self._wake.clear()
                most = max(1, MAX_BATCH // max(1, len(self._lanes)))
                taken = [(lane, lane.take(most)) for lane in self._lanes]
                if any(requests for _, requests in taken):
                    await self._read(thread, taken)
                elif self._closed:
                    return
                else:
                    await self._wake.wait()

    async def _read(self, thread: ThreadPoolExecutor, taken: list[tuple[Lane, list[Request]]]) -> None:
        batch = [
            (request.item, request.wearer.person)
            for _, requests in taken
            for request in requests
            if isinstance(request.item, CompressedWindow)
        ]
        readings = iter(await self._readings(thread, batch) if batch else [])
        for lane, requests in taken:
            for request in requests:
                item = request.item
                lane.deliver(item if isinstance(item, Reading) else next(readings), request.wearer)
            lane.done()

    async def _readings(self, thread: ThreadPoolExecutor, batch: Batch) -> list[Reading]:
        return await asyncio.get_running_loop().run_in_executor(thread, self._run, batch)

    def _run(self, batch: Batch) -> list[Reading]:
        self._busy_since = time.monotonic()
        try:
            with self._turns.reading():
                return self._reader.read(batch)
        finally:
            self._busy_since = None
