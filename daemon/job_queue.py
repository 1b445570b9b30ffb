"""What one thread has to do, in order and never in the way of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from daemon.errors import CommandError, OutboxError
from daemon.job import Job

log = structlog.get_logger("drafting")

T = TypeVar("T")

# How soon a full disk is tried again, seconds.
FULL_S = 5.0


class JobQueue:
    """Owns the thread. Its counts: jobs that found no room or were refused, and such as failed."""

    def __init__(self) -> None:
        self.refused = self.failed = 0
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="drafting")
        """To be left when `run` has returned."""
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        # While the disk takes no records: when it is tried again, on the event loop's clock.
        self._full_until: float | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job, room: int) -> asyncio.Future[str]:
        """As `add`. Raises CommandError where `room` jobs wait already, or it is closed."""
        if len(self._jobs) >= room or self._closed:
            self.refused += 1
            raise CommandError(f"{len(self._jobs)} drafts and commands are waiting already: try again later")
        return self.add(job)

    def add(self, job: Job) -> asyncio.Future[str]:
        """Behind all others; returns `job.done`."""
        self._jobs.append(job)
        self._wake.set()
        return job.done

    def close(self) -> None:
        """`run` returns once nothing waits."""
        self._closed = True
        self._wake.set()

    async def call(self, work: Callable[[], T]) -> T:
        """Done in the thread at once; raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    async def run(self) -> None:
        """Until closed; a job that fails is logged and counted."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            job, pause_s = self._next(loop.time())
            if job is not None:
                await self._do(job)
            elif self._closed:
                return
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()

    def _next(self, now: float) -> tuple[Job | None, float | None]:
        """What is to be done, else how long to wait for it at most, seconds.

        While the disk takes nothing, whoever asks hears so at once, and what is due by itself waits.
        """
        if self._full_until is None or now >= self._full_until or self._closed:
            return (self._jobs.popleft() if self._jobs else None), None
        asked = next((job for job in self._jobs if not job.waits), None)
        if asked is not None:
            self._jobs.remove(asked)
        return asked, self._full_until - now

    async def _do(self, job: Job) -> None:
        try:
            if job.told is None:
                job.result = await self.call(job.work)
                job.told = job.after(job.result)
            if job.last is not None:
                await self.call(partial(job.last, job.result))
        except CommandError as why:
            self.refused += 1
            job.refuse(why)
        except OutboxError as why:
            self._try_again(job, why)
        except Exception as why:
            # One record that cannot be made must not end the labels of everybody.
            self.failed += 1
            log.exception("not done", job=job.what)
            job.refuse(CommandError(f"failed: {type(why).__name__}, see the log"))
        else:
            self._full_until = None
            if not job.done.done():
                job.done.set_result(job.told)

    def _try_again(self, job: Job, why: OutboxError) -> None:
        """The disk takes no records: what is due by itself waits for room, whoever asked hears of it."""
        if job.waits and not self._closed:
            if self._full_until is None:
                log.error("records wait for room", job=job.what, reason=str(why))
            self._full_until = asyncio.get_running_loop().time() + FULL_S
            self._jobs.appendleft(job)
            return
        self.failed += 1
        log.error("not done", job=job.what, reason=str(why))
        job.refuse(CommandError(str(why)))
