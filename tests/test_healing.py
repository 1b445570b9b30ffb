"""What heals by itself: clones, changed headsets, lying rates, hold-ups, sleep, and clocks that are set."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broker import Listener, Mosquitto, listening
from node import configuration, serving, stream
from waiting import until

from daemon.clocks import ClockWatch, UtcStamps
from daemon.messages import StreamHealth
from daemon.sources import make_source
from daemon.sources.base import SourceEvent
from daemon.sources.feed import Feed
from daemon.sources.lag import Lag
from daemon.sources.settings import BrainFlowSource, LslSource, SimulatorSource


@pytest.fixture
def outlet(part: Callable[..., Any]) -> Callable[..., Any]:
    def start(*arguments: object) -> Any:
        one = part("lsl_outlet.py", *arguments)
        assert one.line() == "ready"
        return one

    return start


def states(ear: Listener) -> list[str]:
    return [told["state"] for told in ear.under("bed/status")]


def accounted(told: StreamHealth) -> int:
    """Windows of which it is known what became of them."""
    spoken = told.labels + told.abstained
    return told.windows_calibrating + told.windows_dropped + told.windows_stale + spoken


def last(ear: Listener) -> dict[str, Any]:
    return ear.under("bed/status")[-1] if ear.under("bed/status") else {"state": "", "detail": ""}


def test_a_doubled_outlet_is_refused_and_heals_when_one_goes(
    outlet: Callable[..., Any], feed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.sources.feed._REFUSED_S", 0.5)
    outlet("--source-id", "same")
    clone = outlet("--source-id", "same")
    running = feed(make_source(LslSource(source_id="same")))
    detail = running.wait_state("refused").detail
    assert "2 LSL streams have the same source_id 'same'" in detail and "\n" not in detail
    clone.kill()
    running.wait_state("online", seconds=30)
    # The one that we are connected to stays the one, whoever comes.
    outlet("--source-id", "same")
    n = running.feed.stats.samples
    running.wait_samples(n + 500)
    assert running.feed.stats.reconnects == 0
    data = np.concatenate([c.data[0] for c in running.chunks.items])
    assert np.array_equal(data, np.arange(data[0], data[0] + data.size))


def test_a_headset_that_comes_back_as_another_is_another_measurement(
    mosquitto: Mosquitto, tmp_path: Path, outlet: Callable[..., Any]
) -> None:
    # Killed, it is lost at once: a machine that is busy for seconds is not to be taken for that.
    source = 'kind = "lsl", name = "headset", stall_s = 10'
    first = outlet("--labels", "Fp1,Fp2,C3,C4")

    async def body() -> None:
        toml = stream("bed", source, "calibration_s = 4")
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: ear.under("bed/emotion"), 60)
            assert set(ear.under("bed/quality")[-1]["channels"]) == {"Fp1", "Fp2", "C3", "C4"}
            first.kill()
            await ear.until(lambda: last(ear)["state"] == "offline", 30)
            known = len(ear.under("bed/status"))
            outlet("--labels", "O1,O2,P3,P4,Cz,Pz", "--rate", 500, "--source-id", "another")
            await ear.until(lambda: "calibrating" in states(ear)[known:], 30)
            before = len(ear.under("bed/quality"))
            await ear.until(lambda: len(ear.under("bed/quality")) > before, 60)
            assert len(ear.under("bed/quality")[-1]["channels"]) == 6
            await running.finish()
            health = running.service.last_health
            assert health is not None
            told = health.streams["bed"]
            assert (told.rate_nominal, told.reconnects) == (500.0, 1)
            assert accounted(told) == told.windows

    asyncio.run(body())


def test_a_rate_that_lies_degrades_the_stream_and_says_what_to_do(
    mosquitto: Mosquitto, tmp_path: Path, outlet: Callable[..., Any]
) -> None:
    outlet("--wait", "--rate", 250, "--true-rate", 240, "--speed", 5)

    async def body() -> None:
        toml = stream("bed", 'kind = "lsl", name = "headset"')
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: "claims 250 Hz" in last(ear)["detail"], 40)
            detail = last(ear)["detail"]
            assert last(ear)["state"] == "degraded" and "`rate`" in detail
            assert float(detail.split("sends ")[1].split(":")[0]) == pytest.approx(240, rel=0.01)
            await running.finish()

    asyncio.run(body())


def test_after_a_blocked_event_loop_no_label_is_older_than_a_window(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async def body() -> None:
        toml = stream("bed", 'kind = "simulator"', "calibration_s = 4")
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: len(ear.under("bed/emotion")) >= 2, 60)
            before = len(ear.under("bed/emotion"))
            time.sleep(9)  # noqa: ASYNC251 (this is the fault under test)
            await ear.until(lambda: len(ear.under("bed/emotion")) >= before + 3, 60)
            await running.finish()
            health = running.service.last_health
            assert health is not None
            told = health.streams["bed"]
            assert told.windows_stale >= 1
            # The broker has all of them, the listener may still be hearing the last.
            await ear.until(lambda: len(ear.under("bed/emotion")) >= told.labels + told.abstained)
            assert len(ear.under("bed/emotion")) == told.labels + told.abstained
            assert accounted(told) == told.windows
            assert all(m["latency_ms"]["total"] < 10_000 for m in ear.under("bed/emotion"))
            ends = [m["window"]["end"] for m in ear.under("bed/emotion")]
            assert ends == sorted(ends)

    asyncio.run(body())


def test_what_an_outlet_kept_while_it_hung_is_not_fresh() -> None:
    lag = Lag()
    for second in range(100):
        assert lag.arrived(second - 0.01, second) == pytest.approx(second, abs=0.02)
    lag.reopen(160.0)  # it hung for a minute, and sends all it has kept at once
    assert lag.arrived(110.0, 160.1) == pytest.approx(110, abs=0.2)
    assert lag.arrived(140.0, 160.2) == pytest.approx(140, abs=0.2)
    assert lag.arrived(161.0, 161.01) == pytest.approx(161.01, abs=0.2)


def test_another_way_of_stamping_is_learnt_after_a_reconnection() -> None:
    lag = Lag()
    lag.arrived(0.0, 0.01)
    lag.reopen(10.0)
    for tenth in range(100, 300):
        arrived = lag.arrived(tenth / 10 - 500, tenth / 10)
    assert arrived == pytest.approx(29.9, abs=0.2)


class Slept(ClockWatch):
    """A machine cannot be put to sleep by a test: that it slept is all that is told here."""

    def __init__(self) -> None:
        super().__init__()
        self.nap = 0.0

    def slept(self) -> float:
        nap, self.nap = self.nap, 0.0
        return nap


def test_after_sleep_the_stream_is_opened_anew(outlet: Callable[..., Any]) -> None:
    outlet("--wait")
    clocks, stop = Slept(), threading.Event()
    events: list[SourceEvent] = []
    chunks: list[Any] = []
    feed = Feed(make_source(LslSource(name="headset")), chunks.append, events.append, 2.0, clocks)
    thread = threading.Thread(target=feed.run, args=(stop,))
    thread.start()

    try:
        until(lambda: feed.stats.samples > 100)
        clocks.nap = 3600.0
        until(lambda: feed.stats.reconnects == 1)
    finally:
        stop.set()
        thread.join(15)
    assert "the machine slept for 3600 s" in [e.detail for e in events]
    numbers = np.concatenate([c.data[0] for c in chunks])
    assert sum(c.n_samples for c in chunks) == feed.stats.samples
    assert np.array_equal(numbers, np.unique(numbers))


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_costs_no_sample_and_the_stamps_follow(
    feed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    """BrainFlow's driver reads the clock in C, the simulator in Python: here the second one is set."""
    real = time.time
    running = feed(make_source(SimulatorSource()))
    running.wait_samples(250)
    monkeypatch.setattr(time, "time", lambda: real() + step_s)
    running.wait_state("warning")
    seen = running.wait_samples(running.feed.stats.samples + 250)
    assert {c.segment for c in seen} == {0}
    assert seen[-1].time == pytest.approx(real() + step_s, abs=2)
    assert running.feed.stats.lost == running.feed.stats.gaps == 0
    assert any(f"set by {step_s:+.1f} s" in e.detail for e in running.events.items)


def test_stamps_from_before_a_step_are_told_from_those_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    stamps = UtcStamps()
    before = real() + np.array([-0.03, -0.02])
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    mixed = np.concatenate([before, real() + 3600 + np.array([-0.01, 0.0])])
    laid = stamps.monotonic(mixed)
    assert laid == pytest.approx(time.monotonic() + np.array([-0.03, -0.02, -0.01, 0.0]), abs=0.05)
    assert stamps.monotonic(mixed[2:]) == pytest.approx(laid[2:], abs=0.01)


def test_the_times_of_a_board_are_of_now(feed: Callable[..., Any]) -> None:
    running = feed(make_source(BrainFlowSource(board="synthetic")))
    chunk = running.wait_samples(500)[-1]
    assert chunk.time == pytest.approx(time.time(), abs=2)
    assert chunk.stamps is not None and chunk.stamps[-1] == pytest.approx(time.monotonic(), abs=2)
