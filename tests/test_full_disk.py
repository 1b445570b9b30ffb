"""The whole daemon on a disk that fills up and is emptied again: it goes on labelling, and loses nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import Mosquitto, listening
from node import configuration, serving, stream
from small_disk import fill, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "20m") as disk:
        yield disk


def test_the_daemon_outlives_a_full_disk(mosquitto: Mosquitto, disk: Path) -> None:
    async def body() -> None:
        toml = stream("bed", 'kind = "simulator", period_s = 8', "calibration_s = 4\nrecord = true")
        toml += "[recording]\nmin_free_mib = 0\n"
        async with (
            listening(mosquitto.port) as ear,
            serving(configuration(disk, mosquitto.port, toml)) as running,
        ):
            await ear.until(lambda: ear.under("bed/emotion"), 60)
            filler = await asyncio.to_thread(fill, disk)
            before = len(ear.under("bed/emotion"))

            def alarms() -> str:
                return " ".join(ear.under("n1/status")[-1]["alarms"])

            # Log and recording grow until the disk takes no more; then drafts have to wait as well.
            async with asyncio.timeout(60):
                while "takes no messages" not in alarms() or "not recorded" not in alarms():
                    await asyncio.to_thread(fill, disk)
                    await asyncio.sleep(0.5)
            at_full = len(ear.under("bed/emotion"))
            await ear.until(lambda: len(ear.under("bed/emotion")) >= at_full + 3, 60)
            assert at_full >= before
            filler.unlink()
            await ear.until(lambda: not alarms(), 60)
            emptied = len(ear.under("bed/emotion"))
            await ear.until(lambda: len(ear.under("bed/emotion")) >= emptied + 2, 60)
            await running.finish(30)
            health = running.service.last_health
            assert health is not None
            told = health.streams["bed"]
            assert told.labels + told.abstained == len(ear.under("bed/emotion"))
            seqs = [m["seq"] for m in ear.under("bed/emotion")]
            assert seqs == list(range(1, len(seqs) + 1))
            assert health.outbox["dropped"] == health.outbox["in_memory"] == 0
            assert told.unrecorded and told.recorded
            assert told.recorded + told.unrecorded == told.samples
            # Drafts at the end of each episode, those that had to wait for room too.
            ended = {m["episode"] for m in ear.under("bed/episode") if m["phase"] == "end"}
            await ear.until(lambda: {m["episode"] for m in ear.under("emr/draft")} >= ended, 30)

    asyncio.run(body())
