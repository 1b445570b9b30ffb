"""One reader for all streams: order, batches across streams, and what happens when it is too slow."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from daemon.inference import LIVE_ROOM, Inference, Lane, Request
from daemon.wearer import Wearer
from pipeline.prompt import Person
from pipeline.records import ChannelQuality, CompressedWindow, Reading, Span


def window(index: int) -> CompressedWindow:
    span = Span(index, 0, index, index + 10, index, index + 10, 0.0, 0.0)
    quality = ChannelQuality(np.ones(4, dtype=bool), ("",) * 4, 1.0)
    return CompressedWindow(np.zeros((4, 5), dtype=np.int16), ("F3", "F4", "O1", "O2"), "m/1", span, quality)


def reading(window: CompressedWindow, label: str | None = "calm") -> Reading:
    return Reading(label, {"calm": 1.0}, {}, window.span, 1.0, "", 0.01)


class GatedReader:
    """Stands for a machine of chosen speed: reads only while its gate is open."""

    def __init__(self, gate_open: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        if gate_open:
            self.gate.set()

    def read(self, batch: Sequence[tuple[CompressedWindow, Person]]) -> list[Reading]:
        self.batches.append([window.span.index for window, _ in batch])
        self.entered.set()
        assert self.gate.wait(10)
        return [reading(window) for window, _ in batch]


def scene(
    reader: GatedReader, names: str, lossless: bool = False
) -> tuple[Inference, list[Lane], dict[str, list]]:
    inference = Inference(reader)  # type: ignore[arg-type]
    heard: dict[str, list[Reading]] = {name: [] for name in names}
    lanes = [
        inference.lane(name, lambda r, w, name=name: heard[name].append(r), lossless=lossless)
        for name in names
    ]
    return inference, lanes, heard


WEARER = Wearer("pseudo-1", Person())


def test_order_is_kept_around_abstentions() -> None:
    async def body() -> None:
        reader = GatedReader()
        inference, (lane,), heard = scene(reader, "a")
        await lane.put(Request(window(0), WEARER))
        await lane.put(Request(reading(window(1), None), WEARER))
        await lane.put(Request(window(2), WEARER))
        inference.close()
        await inference.run()
        assert [(r.span.index, r.abstained) for r in heard["a"]] == [(0, False), (1, True), (2, False)]
        assert reader.batches == [[0, 2]]

    asyncio.run(body())


def test_streams_share_a_run() -> None:
    async def body() -> None:
        reader = GatedReader()
        inference, lanes, heard = scene(reader, "abcd")
        for number, lane in enumerate(lanes):
            await lane.put(Request(window(number), WEARER))
        inference.close()
        await inference.run()
        assert reader.batches == [[0, 1, 2, 3]]
        assert [r.span.index for name in "abcd" for r in heard[name]] == [0, 1, 2, 3]

    asyncio.run(body())


def test_too_slow_drops_the_oldest_and_counts() -> None:
    async def body() -> None:
        reader = GatedReader(gate_open=False)
        inference, (lane,), heard = scene(reader, "a")
        await lane.put(Request(window(0), WEARER))
        running = asyncio.create_task(inference.run())
        await asyncio.to_thread(reader.entered.wait, 10)
        for index in range(1, 11):
            await lane.put(Request(window(index), WEARER))
            assert len(lane) <= LIVE_ROOM + 1
        assert inference.busy_s > 0
        reader.gate.set()
        inference.close()
        await running
        assert [r.span.index for r in heard["a"]] == [0, *range(11 - LIVE_ROOM, 11)]
        assert lane.dropped == 10 - LIVE_ROOM
        assert inference.busy_s == 0

    asyncio.run(body())


def test_a_recording_waits_instead() -> None:
    async def body() -> None:
        inference, (lane,), heard = scene(GatedReader(), "a", lossless=True)
        running = asyncio.create_task(inference.run())
        for index in range(500):
            await lane.put(Request(window(index), WEARER))
        await lane.drained()
        inference.close()
        await running
        assert [r.span.index for r in heard["a"]] == list(range(500))
        assert lane.dropped == 0

    asyncio.run(body())


def test_a_reader_that_fails_ends_it() -> None:
    class Broken(GatedReader):
        def read(self, batch: Sequence[tuple[CompressedWindow, Person]]) -> list[Reading]:
            raise RuntimeError("no memory")

    async def body() -> None:
        inference, (lane,), _ = scene(Broken(), "a")
        await lane.put(Request(window(0), WEARER))
        with pytest.raises(RuntimeError, match="no memory"):
            await inference.run()

    asyncio.run(body())
