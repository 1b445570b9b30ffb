"""A hundred thin streams on one host, readers on another, a broker between: killed, drained, cut off."""

from __future__ import annotations

import contextlib
import json
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

STREAMS = 100
PERIOD_S = (
    4.0  # a window of each; twice the shipped bundle's hop, for machines that do other things meanwhile
)
LATE_S = 2.0
CUT_S = 10.0
# Share of the windows that the pool has to have read while the link is whole, even on a busy machine.
MOST = 0.95


class Beds:
    """The process of thin streams, and what it says every second."""

    def __init__(self, hosts: Hosts, port: int) -> None:
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
        print(line, end="")
        return json.loads(line)

    def until(self, true: Callable[[dict[str, Any]], object], seconds: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not true(told := self.says()):
            assert time.monotonic() < end, told
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


@pytest.mark.timeout(400)
def test_every_window_is_read_once(
    hosts: Hosts, tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    port = free_port()
    mqtt = f'host = "{hosts.broker("pool")}"\nport = {port}\nkeepalive = 5\nplain_over_network = true'
    with contextlib.ExitStack() as whole:
        whole.enter_context(broker_between(hosts, tmp_path, port))

        def reader(name: str) -> ReaderProcess:
            process = ReaderProcess(tmp_path, name, mqtt, within=hosts.on("pool"))
            whole.callback(process.end)
            return process

        one, two, three = [reader(f"reader-{n}") for n in (1, 2, 3)]
        for process in (one, two, three):
            process.waits_for_questions()
        beds = Beds(hosts, port)
        whole.callback(beds.end)

        beds.until(lambda told: told["answered"] >= STREAMS)
        two.kill()
        killed = beds.says()
        beds.until(lambda told: told["answered"] >= killed["answered"] + STREAMS)
        four = reader("reader-4")
        four.waits_for_questions()
        drained = one.stop()
        left = beds.says()
        before = beds.until(lambda told: told["answered"] >= left["answered"] + STREAMS)
        assert before["answered"] >= MOST * before["readings"], before

        hosts.link("beds", "down")
        cut = time.monotonic()
        during = beds.says()
        while time.monotonic() < cut + CUT_S:
            during = beds.says()
        hosts.link("beds", "up")
        # Each bed had labels all the same, by its own reader.
        assert during["labelled"] == STREAMS, during
        assert during["read_here"] - before["read_here"] >= STREAMS, during
        assert during["lost"] - during["waiting"] == 0, during

        back = beds.until(lambda told: told["online"] == STREAMS)
        after = beds.until(lambda told: told["answered"] >= back["answered"] + STREAMS)
        end = beds.finish()
        left_over = [three.stop(), four.stop()]

    assert end["put"] == end["readings"] > 0, end
    assert (end["lost"], end["twice"], end["wrong"], end["dropped"], end["strange"]) == (0, 0, 0, 0, 0), end
    assert end["answered"] + end["read_here"] == end["put"], end
    assert before["p50_ms"] < before["p99_ms"] < 1e3 * (LATE_S + PERIOD_S), before
    # A reader that is drained finishes what it holds: nothing was cut off, and all it heard is accounted for.
    for counts in (drained, *left_over):
        assert accounted(counts) and counts["heard"] > 0, counts
        assert counts["malformed"] == counts["denied"] == 0, counts
    assert drained["cut_off"] == 0, drained
    told = {key: end[key] for key in ("put", "answered", "read_here", "resent", "late", "duplicates")}
    record_testsuite_property("fleet", told | {"p50_ms": before["p50_ms"], "p99_ms": end["p99_ms"]})
    print(f"\nthe fleet: whole {before}; cut {during}; after {after}; end {end}")
