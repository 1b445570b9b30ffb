"""The daemon end to end: real broker, real LSL from other processes, real recordings, the shipped model."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broker import Listener, Mosquitto, listening
from node import bundle, command, configuration, reader, serving, stream

from daemon.labelling import Labelling
from pipeline.prompt import Person
from pipeline.recordings import open_recording

ROOT = Path(__file__).parents[1]
REST = "eegmat/Subject01_1.edf"
TASK = "eegmat/Subject01_2.edf"


def states(ear: Listener, name: str) -> list[str]:
    """The states of a stream, each once for every time it was entered."""
    seen: list[str] = []
    for message in ear.under(f"{name}/status"):
        if not seen or seen[-1] != message["state"]:
            seen.append(message["state"])
    return seen


def test_recording_over_lsl_is_labelled_as_offline(
    mosquitto: Mosquitto, tmp_path: Path, part: Callable[..., Any], shared_data: Callable[[str], Path]
) -> None:
    """Samples from another process to labels at a subscriber, the same as `label` gives for the file."""
    file = shared_data(REST)
    labelling = Labelling(bundle(), reader(), Person(18, "female"), calibration_s=15.0)
    expected = labelling.label([open_recording(file)])
    player = part("-m", "daemon", "replay", file, "--name", "live-replay", "--wait", 30)

    async def body() -> None:
        about = 'calibration_s = 15\nage = 18\ngender = "female"\nsubject = "pseudo-01"'
        toml = stream("bed", 'kind = "lsl", name = "live-replay"', about)
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: len(ear.under("bed/emotion")) >= 3, 60)
            await running.finish()
            assert states(ear, "bed") == ["offline", "calibrating", "online", "offline"]
            for message in ear.under("bed/emotion")[:3]:
                offline = next(expected).reading
                assert message["label"] == offline.label
                assert message["subject"] == "pseudo-01"
                for label, p in offline.p.items():
                    assert message["p"][label] == pytest.approx(p, abs=2e-3)
                assert message["quality"] == pytest.approx(offline.quality, abs=1e-3)
                assert message["latency_ms"]["total"] < 1000
            assert [m["seq"] for m in ear.under("bed/emotion")] == list(
                range(1, len(ear.under("bed/emotion")) + 1)
            )
            verdicts = ear.under("bed/quality")[-1]["channels"]
            assert len(verdicts) == 19 and "T7" in verdicts
            health = running.service.last_health
            assert health is not None
            assert health.streams["bed"].gaps == health.streams["bed"].lost == 0
            assert health.latency_ms["total"].p99 is not None

    asyncio.run(body())
    player.signal(signal.SIGTERM)


def test_four_headsets_at_once_without_drops(
    mosquitto: Mosquitto, tmp_path: Path, part: Callable[..., Any]
) -> None:
    names = [f"head{n}" for n in range(4)]
    for number, name in enumerate(names):
        part("-m", "daemon.headset", "--name", name, "--rate", 500, "--seed", number, "--wait", 30)

    async def body() -> None:
        toml = "".join(stream(name, f'kind = "lsl", name = "{name}"', "calibration_s = 4") for name in names)
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: all(len(ear.under(f"{n}/emotion")) >= 2 for n in names), 60)
            await running.finish()
            health = running.service.last_health
            assert health is not None
            for name in names:
                counted = health.streams[name]
                assert counted.samples > 500 * 16
                assert (counted.chunks_dropped, counted.windows_dropped, counted.samples_dropped) == (0, 0, 0)
                assert (counted.gaps, counted.lost) == (0, 0)
                assert counted.labels + counted.abstained == len(ear.under(f"{name}/emotion"))
            # From the last sample of a window to its label, also with four at once.
            assert health.latency_ms["total"].p99 is not None and health.latency_ms["total"].p99 < 250

    asyncio.run(body())


def test_headset_killed_and_back(mosquitto: Mosquitto, tmp_path: Path, part: Callable[..., Any]) -> None:
    first = part("-m", "daemon.headset", "--name", "frail", "--wait", 30)

    async def body() -> None:
        toml = stream("bed", 'kind = "lsl", name = "frail", stall_s = 1.0')
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: "calibrating" in states(ear, "bed"), 30)
            first.kill()
            await ear.until(lambda: states(ear, "bed")[-1] in ("stalled", "offline"), 30)
            part("-m", "daemon.headset", "--name", "frail", "--wait", 30)
            await ear.until(lambda: states(ear, "bed")[-1] == "calibrating", 30)
            await running.finish()
            health = running.service.last_health
            assert health is not None and health.streams["bed"].reconnects == 1

    asyncio.run(body())


def test_commands_calibrate_and_patient(
    mosquitto: Mosquitto, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    source = f'kind = "recording", files = ["{shared_data(REST)}"], speed = 10, loop = true'

    async def body() -> None:
        toml = stream("bed", source, "calibration_s = 20")
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: ear.under("bed/emotion"))
            assert ear.under("bed/emotion")[0]["subject"] == "pseudo-unknown"

            answer = await command(ear, "bed", "patient", b'{"subject": "pseudo-2", "age": 40}')
            assert answer["ok"], answer
            await ear.until(lambda: ear.under("bed/emotion")[-1]["subject"] == "pseudo-2")
            # Another person: their own rest comes first.
            assert states(ear, "bed") == ["offline", "calibrating", "online", "calibrating", "online"]

            answer = await command(ear, "bed", "patient", b'{"subject": "pseudo-2", "age": 41}')
            assert answer["ok"], answer
            assert states(ear, "bed")[-1] == "online"

            def running_now() -> bool:
                told = ear.under("bed/episode")
                return bool(told) and told[-1]["phase"] != "end"

            await ear.until(running_now)
            answer = await command(ear, "bed", "calibrate", b"{}")
            assert answer["ok"], answer
            await ear.until(lambda: states(ear, "bed")[-1] == "calibrating")
            # What begins after the new rest is another episode.
            await ear.until(lambda: not running_now())
            labels = len(ear.under("bed/emotion"))
            await ear.until(lambda: states(ear, "bed")[-1] == "online")
            # Nothing is labelled in between but what was already under way.
            assert len(ear.under("bed/emotion")) <= labels + 2
            await running.finish()

    asyncio.run(body())


def test_broker_not_there_yet_and_recording_that_ends(
    free_mosquitto: Mosquitto, tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    """The daemon ends by itself when its recordings have; what found no broker is told at the next start."""
    files = f'["{shared_data(REST)}", "{shared_data(TASK)}"]'

    async def body() -> None:
        toml = stream("bed", f'kind = "recording", files = {files}, speed = 0')
        file = configuration(tmp_path, free_mosquitto.port, toml)
        async with serving(file) as running:
            await asyncio.wait_for(running.task, 60)
            assert running.service.last_health is not None
            counted = running.service.last_health.streams["bed"]
        free_mosquitto.start()
        async with listening(free_mosquitto.port) as ear:
            async with serving(file) as running:
                await asyncio.wait_for(running.task, 60)
            await ear.until(lambda: [m["state"] for m in ear.under("n1/status")] == ["online", "stopped"])
            readings = ear.under("bed/emotion")
            assert len(readings) == 2 * (counted.labels + counted.abstained) > 100
            assert [m["seq"] for m in readings] == list(range(1, len(readings) + 1))
            assert len({m["id"] for m in readings}) == len(readings)
            assert {m["phase"] for m in ear.under("bed/episode")} >= {"begin", "end"}
            assert ear.under("/info")[0]["session"] == 2
            assert ear.under("/info")[0]["bundle"]["sha256"] == bundle().sha256

    asyncio.run(body())


def test_too_few_electrodes_is_said(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async def body() -> None:
        toml = stream("bed", 'kind = "simulator", electrodes = ["Fp1", "Fp2"]')
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(tmp_path, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: states(ear, "bed")[-1:] == ["degraded"])
            assert "at least" in ear.under("bed/status")[-1]["detail"]
            await running.finish()

    asyncio.run(body())
