"""Thin streams in one process: each with an inference and a connection of its own; one local reader for all.

Prints a JSON line a second, with the ages of the last ten seconds. After SIGTERM, when every window is
through, the last line is the account of all.
`python -m tests.parts.thin_streams HOST PORT STREAMS PERIOD_S LATE_S`
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from daemon.fleet.inference import FleetInference
from daemon.fleet.pool import Pool
from daemon.inference import Request
from daemon.latency import percentile
from daemon.logs import set_up_logs
from daemon.mqtt_settings import Mqtt
from daemon.turns import Turns
from daemon.wearer import Wearer
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.reader import Reader
from pipeline.records import CompressedWindow, Reading
from tests.parts.fleet import PEOPLE, simulated_windows

WINDOWS = 40  # that differ; streams go round them
LATELY_S = 10.0


class ThinStream:
    """One bed: gives a window every so often, and keeps the account of what came back."""

    def __init__(self, number: int, pool: Pool, inference: FleetInference, known: Known) -> None:
        self.number, self.pool, self.inference = number, pool, inference
        self.put = 0
        self.told: Counter[int] = Counter()  # readings by the number of their window
        self.wrong = 0
        self.ages: list[tuple[float, float]] = []  # when (monotonic), and how old the window was, seconds
        self._known = known
        self._wearer = Wearer(f"pseudo-{number}", PEOPLE[number % len(PEOPLE)])
        self.lane = inference.lane(f"bed-{number}", self._deliver)

    async def run(self, period_s: float, streams: int, stop: asyncio.Event) -> None:
        """Spread over the period, as headsets that were switched on one after the other."""
        due = time.monotonic() + period_s * self.number / streams
        while True:
            try:
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
                return
            except TimeoutError:
                pass
            window = self._known.windows[(self.number + self.put) % WINDOWS]
            span = replace(window.span, index=self.put, arrived=time.monotonic())
            await self.lane.put(Request(replace(window, span=span), self._wearer))
            self.put += 1
            due += period_s

    def _deliver(self, reading: Reading, wearer: Wearer) -> None:
        now, index = time.monotonic(), reading.span.index
        self.told[index] += 1
        self.ages.append((now, now - reading.span.arrived))
        person = self.number % len(PEOPLE)
        self.wrong += reading.p != self._known.p[(self.number + index) % WINDOWS, person]


class Known:
    """What this machine's own reader says of every window, for each person: the fleet has to say the same."""

    def __init__(self, bundle: Bundle, reader: Reader) -> None:
        self.windows: list[CompressedWindow] = simulated_windows(bundle, WINDOWS)
        self.p = {
            (number, who): reader.read([(window, person)])[0].p
            for who, person in enumerate(PEOPLE)
            for number, window in enumerate(self.windows)
        }


def account(streams: list[ThinStream]) -> dict[str, float]:
    """Sums over all streams. lost: windows without a reading; twice: with more than one; wrong: other numbers
    than this machine's reader has. labelled: streams with a reading lately."""
    told = {
        "put": sum(s.put for s in streams),
        "readings": sum(s.told.total() for s in streams),
        "lost": sum(s.put - len(s.told) for s in streams),
        "twice": sum(s.told.total() - len(s.told) for s in streams),
        "wrong": sum(s.wrong for s in streams),
        "dropped": sum(s.lane.dropped + s.lane.stale for s in streams),
        "waiting": sum(len(s.lane) for s in streams),
        "online": sum(s.pool.online for s in streams),
        "labelled": sum(bool(s.ages) and s.ages[-1][0] > time.monotonic() - LATELY_S for s in streams),
    }
    for stream in streams:
        for key, value in stream.pool.counts().items():
            told[key] = told.get(key, 0) + value
    return told


def ages(streams: list[ThinStream], since: float) -> dict[str, float]:
    """Of the readings since then (monotonic, seconds): how old their windows were, ms."""
    found = [age for stream in streams for at, age in stream.ages if at >= since]
    p50, p99 = percentile(found, 0.5), percentile(found, 0.99)
    return {
        "p50_ms": math.nan if p50 is None else round(p50 * 1e3, 1),
        "p99_ms": math.nan if p99 is None else round(p99 * 1e3, 1),
    }


async def main(host: str, port: int, count: int, period_s: float, late_s: float) -> None:
    set_up_logs("error", "json")
    loop = asyncio.get_running_loop()
    # A hundred nodes do not share the threads in which clients connect.
    loop.set_default_executor(ThreadPoolExecutor(count))
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    bundle = Bundle.load(shipped_bundle())
    reader, turns = Reader(bundle, 1), Turns()
    known = Known(bundle, reader)
    streams = []
    for number in range(count):
        mqtt = Mqtt(host=host, port=port, node=f"thin-{number}", keepalive=5, plain_over_network=True)
        pool = Pool(mqtt, bundle, late_s)
        streams.append(ThinStream(number, pool, FleetInference(reader, pool, turns), known))
    async with asyncio.TaskGroup() as tasks:
        for stream in streams:
            tasks.create_task(stream.inference.run())
        while not all(stream.pool.online for stream in streams):  # noqa: ASYNC110 (a hundred of them)
            await asyncio.sleep(0.05)
        began = time.monotonic()
        giving = [tasks.create_task(s.run(period_s, count, stop)) for s in streams]
        while not stop.is_set():
            say(streams, time.monotonic() - LATELY_S)
            await asyncio.sleep(1)
        await asyncio.wait(giving)
        for stream in streams:
            await stream.lane.drained()
            stream.inference.close()
    say(streams, began)


def say(streams: list[ThinStream], since: float) -> None:
    print(json.dumps(account(streams) | ages(streams, since)), flush=True)


if __name__ == "__main__":
    host, port, count, period_s, late_s = sys.argv[1:]
    asyncio.run(main(host, int(port), int(count), float(period_s), float(late_s)))
