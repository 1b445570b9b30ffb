"""A hundred thin streams on one host, readers on another, a broker between: killed, drained, cut off."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from broker import free_port
from fleet import ReaderProcess, accounted
from hosts import Hosts, HostsError, broker_between, two_hosts

from tests.parts.machine import ROOT, environment

STREAMS, READERS = 100, 3
# Each kills a reader, adds one, drains one, adds one, and cuts the link: `make fleet` runs ten.
ROUNDS = int(os.environ.get("FLEET_ROUNDS", "1"))
PERIOD_S = (
    4.0  # a window of each; twice the shipped bundle's hop, for machines that do other things meanwhile
)
LATE_S = 2.0
CUT_S = 10.0
# Share of the windows that the pool has to have read while the link is whole, and how old they may be,
# however busy the machine is. A pool that did not miss its dead would lose a third of the questions.
MOST, LATEST_S = 0.75, 10.0


class Beds:
    """The process of thin streams, and what it says every second."""

    def __init__(self, hosts: Hosts, port: int) -> None:
        self._hosts = hosts
        arguments = [hosts.broker("beds"), port, STREAMS, PERIOD_S, LATE_S]
        self.process = subprocess.Popen(
            [*hosts.on("beds"), sys.executable, "-m", "tests.parts.thin_streams", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )

    def says(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the streams have ended early"
        return json.loads(line)

    def until(self, true: Callable[[dict[str, Any]], object], seconds: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not true(told := self.says()):
            assert time.monotonic() < end, told
        return told

    def read_by_pool(self, windows: int) -> dict[str, Any]:
        """Until the pool has read so many more."""
        before = self.says()
        return self.until(lambda told: told["answered"] >= before["answered"] + windows)

    def without_link(self) -> dict[str, Any]:
        """Cut off for a while; what it says at the end of that."""
        self._hosts.link("beds", "down")
        cut = time.monotonic()
        told = self.says()
        while time.monotonic() < cut + CUT_S:
            told = self.says()
        self._hosts.link("beds", "up")
        return told

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def finish(self) -> dict[str, Any]:
        """No more windows; the account when all are through."""
        self.process.terminate()
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        assert self.process.wait(60) == 0
        return json.loads(lines[-1])


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with contextlib.ExitStack() as whole:
        try:
            made = whole.enter_context(two_hosts())
        except HostsError as why:
            pytest.skip(f"no network namespaces: {why}")
        yield made


@pytest.mark.timeout(300 * (ROUNDS + 1))
def test_every_window_is_read_once(
    hosts: Hosts, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    port = free_port()
    mqtt = f'host = "{hosts.broker("pool")}"\nport = {port}\nkeepalive = 5\nplain_over_network = true'
    names = (f"reader-{n}" for n in itertools.count(1))
    ended: list[dict[str, int]] = []  # what readers counted that were told to stop
    with contextlib.ExitStack() as whole:
        whole.enter_context(broker_between(hosts, tmp_path, port))

        def reader() -> ReaderProcess:
            process = ReaderProcess(tmp_path, next(names), mqtt, within=hosts.on("pool"))
            whole.callback(process.end)
            return process

        pool = [reader() for _ in range(READERS)]
        for process in pool:
            process.waits_for_questions()
        beds = Beds(hosts, port)
        whole.callback(beds.end)
        told = beds.until(lambda told: told["answered"] >= STREAMS)
        for _ in range(ROUNDS):
            begun = told
            pool.pop().kill()
            pool.append(reader())
            told = beds.read_by_pool(STREAMS)
            pool[-1].waits_for_questions()
            ended.append(pool.pop(0).stop())
            assert ended[-1]["cut_off"] == 0, ended[-1]
            intact = beds.read_by_pool(STREAMS)
            read = intact["readings"] - begun["readings"]
            assert intact["answered"] - begun["answered"] >= MOST * read, (begun, intact)
            assert intact["p50_ms"] < intact["p99_ms"] < 1e3 * LATEST_S, intact
            pool.append(reader())
            told = beds.without_link()
            # Each bed had labels all the same, by its own reader.
            assert told["labelled"] == STREAMS, told
            assert told["read_here"] - intact["read_here"] >= STREAMS, told
            assert told["lost"] == told["waiting"], told
            beds.until(lambda told: told["online"] == STREAMS)
            pool[-1].waits_for_questions()
            told = beds.read_by_pool(STREAMS)
        end = beds.finish()
        ended += [process.stop() for process in pool]

    assert end["put"] == end["readings"] > 0, end
    assert (end["lost"], end["twice"], end["wrong"], end["dropped"], end["strange"]) == (0, 0, 0, 0, 0), end
    assert end["answered"] + end["read_here"] == end["put"], end
    # A reader that is drained finishes what it holds, and all that it ever heard is accounted for.
    for counts in ended:
        assert accounted(counts) and counts["heard"] > 0, counts
        assert counts["malformed"] == counts["denied"] == 0, counts
    shown = {key: end[key] for key in ("put", "answered", "read_here", "resent", "late", "duplicates")}
    shown |= {key: intact[key] for key in ("p50_ms", "p99_ms")}
    record_testsuite_property("fleet", shown)
    print(f"\nthe fleet, {STREAMS} streams, {ROUNDS} rounds: {shown}")
