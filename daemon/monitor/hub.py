"""Carries changes of the ward to every screen: gathered for a moment, encoded once, never waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from daemon.monitor.ward import Ward
from daemon.notify import notify
from daemon.rates import Allowance

# Events that may follow each other at once, and then seconds between them, in which changes gather: what a
# few beds say is sent as it is heard; a hundred beds are ten events and frames a second, not some hundred.
EVENTS = (4, 0.1)
# Each tick looks for silence, and tells screens that the line is alive.
TICK_S = 1.0
# Events that a screen may be behind; then it gets a new whole instead of them all.
_MOST_BEHIND = 100


class Screen:
    """One open page. bed: the key of the bed whose details it shows, or empty."""

    def __init__(self, bed: str) -> None:
        self.bed = bed
        self.behind = False
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_BEHIND)

    def push(self, event: bytes) -> None:
        try:
            self.events.put_nowait(event)
        except asyncio.QueueFull:
            while not self.events.empty():
                self.events.get_nowait()
            self.behind = True


class Hub:
    def __init__(self, ward: Ward) -> None:
        self._ward = ward
        self._screens: set[Screen] = set()
        self._news = asyncio.Event()
        self._closed = False

    @property
    def screens(self) -> int:
        return len(self._screens)

    def wake(self) -> None:
        """Something was heard."""
        self._news.set()

    def close(self) -> None:
        """Ends every listening."""
        self._closed = True
        for screen in self._screens:
            while screen.events.full():
                screen.events.get_nowait()
            screen.events.put_nowait(None)

    @contextlib.contextmanager
    def screen(self, bed: str) -> Iterator[Screen]:
        """A screen that hears from now on, beginning with the whole."""
        screen = Screen(bed)
        screen.push(self._whole(screen))
        self._screens.add(screen)
        try:
            yield screen
        finally:
            self._screens.discard(screen)

    async def events(self, screen: Screen) -> AsyncIterator[bytes]:
        """Until `close`."""
        while not self._closed:
            event = await screen.events.get()
            if event is None:
                return
            yield event

    async def run(self) -> None:
        """Until cancelled."""
        loop, events = asyncio.get_running_loop(), Allowance(*EVENTS)
        tick = loop.time() + TICK_S
        while True:
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with news.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(tick):
                    await self._news.wait()
            if self._news.is_set():
                await asyncio.sleep(events.wait_s(loop.time()))
                events.take(loop.time())
                self._news.clear()
            if loop.time() >= tick:
                tick = loop.time() + TICK_S
                self._ward.look(time.time())
                self._send(always=True)
                # A sign of life for systemd: the loop turns, and screens are told.
                notify("WATCHDOG=1")
            else:
                self._send(always=False)

    def _send(self, *, always: bool) -> None:
        """always: say the time even where nothing changed."""
        now = time.time()
        changed = [bed for bed in self._ward.beds.values() if bed.changed]
        cards = self._ward.changes(changed, now)
        common = {"now": now, "broker_lost": self._ward.broker_lost, "beds": cards}
        plain = _event("change", common)
        details: dict[str, bytes] = {}
        fewer = self._ward.has_lost_beds()
        for screen in self._screens:
            screen.behind |= fewer
            bed = self._ward.beds.get(screen.bed)
            if screen.behind:
                screen.behind = False
                screen.push(self._whole(screen))
            elif bed is not None and bed.changed:
                if screen.bed not in details:
                    detail = bed.detail(bed.changed)
                    details[screen.bed] = _event("change", {**common, "detail": detail})
                screen.push(details[screen.bed])
            elif cards or always:
                screen.push(plain)
        for bed in changed:
            bed.changed.clear()

    def _whole(self, screen: Screen) -> bytes:
        told = self._ward.snapshot(time.time())
        bed = self._ward.beds.get(screen.bed)
        if bed is not None:
            told["detail"] = bed.detail(None) | {"node": self._ward.node(bed)}
        return _event("whole", told)


def _event(name: str, told: dict[str, Any]) -> bytes:
    """One event of text/event-stream."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(told) + b"\n\n"
