"""From a source's thread into the event loop: what the source says stays in its place among what it gives."""

import asyncio
import time
from pathlib import Path

import pytest
from cluster_at_hand import recorded

from daemon.intake import Intake
from daemon.sources.settings import RecordingSource


def test_a_source_has_ended_when_its_last_samples_are_taken(tmp_path: Path) -> None:
    """Told before, samples that still wait would make it online once more, and nobody would say it is not."""
    recorded(tmp_path / "a.edf", 1)
    seen: list[str] = []

    async def body() -> None:
        source = RecordingSource(files=(str(tmp_path / "a.edf"),), speed=0)
        async for _ in Intake("bed", source, lambda event: seen.append(event.state)):
            seen.append("samples")
            await asyncio.sleep(0.001)  # slower than the file is read

    asyncio.run(body())
    assert seen[:2] == ["connecting", "online"] and seen[-1] == "ended"
    assert seen.count("ended") == 1 and set(seen[2:-1]) == {"samples"}


@pytest.mark.parametrize("loop", [False, True], ids=["one segment", "segments"])
def test_what_an_event_loop_that_stands_still_misses_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: bool
) -> None:
    monkeypatch.setattr("daemon.intake.CHUNK_ROOM", 4)
    recorded(tmp_path / "a.edf", 1, seconds=20)
    taken = 0

    async def body() -> None:
        nonlocal taken
        intake = Intake(
            "bed", RecordingSource(files=(str(tmp_path / "a.edf"),), speed=40, loop=loop), lambda _: None
        )
        segments = set()
        async for chunk in intake:
            taken += chunk.n_samples
            segments.add(chunk.segment)
            time.sleep(0.2)  # noqa: ASYNC251 (this is the fault under test)
            if len(segments) > 5:
                intake.stop()
        assert intake.samples_dropped > 0
        assert taken + intake.samples_dropped == intake.stats.samples

    asyncio.run(body())
