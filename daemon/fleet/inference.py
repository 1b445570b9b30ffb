"""Reads windows with a pool elsewhere, and with the node's own reader where the pool is late or away."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from daemon.fleet.pool import Pool
from daemon.inference import MAX_BATCH, Batch, Inference, Lane
from daemon.turns import Turns
from pipeline.reader import Reader
from pipeline.records import Reading


class FleetInference(Inference):
    """Streams are served beside each other: one whose answer takes its time holds up no other one."""

    def __init__(self, reader: Reader, pool: Pool, turns: Turns | None = None) -> None:
        super().__init__(reader, turns)
        self._pool = pool
        self._wakes: list[asyncio.Event] = []

    def _waker(self) -> asyncio.Event:
        self._wakes.append(asyncio.Event())
        return self._wakes[-1]

    def close(self) -> None:
        super().close()
        for wake in self._wakes:
            wake.set()

    async def run(self) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as thread:
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(self._pool.run(), name="pool")
                lanes = [
                    tasks.create_task(self._serve(thread, lane, wake), name=f"lane:{lane.name}")
                    for lane, wake in zip(self._lanes, self._wakes, strict=True)
                ]
                await asyncio.wait(lanes)
                asking.cancel()

    async def _serve(self, thread: ThreadPoolExecutor, lane: Lane, wake: asyncio.Event) -> None:
        while True:
            wake.clear()
            requests = lane.take(MAX_BATCH)
            if requests:
                await self._read(thread, [(lane, requests)])
            elif self._closed:
                return
            else:
                await wake.wait()

    async def _readings(self, thread: ThreadPoolExecutor, batch: Batch) -> list[Reading]:
        told = await asyncio.gather(*(self._pool.read(window, person) for window, person in batch))
        left = [one for one, reading in zip(batch, told, strict=True) if reading is None]
        here = iter(await super()._readings(thread, left) if left else [])
        return [next(here) if reading is None else reading for reading in told]
