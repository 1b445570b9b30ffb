"""A bounded channel from a source's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger("channel")


class Channel(Generic[T]):
    """Hands items from any thread to one coroutine, in order.

    A full channel drops its oldest item, counts it and says so: what a person feels now matters more
    than what they felt before. With `lossless` the putting thread waits instead, which a recording
    can do and a headset cannot. Closing it hands out what is left and then ends the iteration.
    """

    def __init__(
        self,
        name: str,
        room: int,
        *,
        lossless: bool = False,
        lost: Callable[[T], None] = lambda _: None,
    ) -> None:
        """room: items that may wait. lost: told of each that is dropped, in the putting thread. Must be made
        where the event loop runs."""
        self.name = name
        self.room = room
        self.lossless = lossless
        self.dropped = 0
        self._lost = lost
        self._items: deque[T] = deque()
        self._state = threading.Condition()
        self._closed = False
        self._dropping = 0  # in the present run of drops
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def closed(self) -> bool:
        return self._closed

    def put(self, item: T) -> None:
        """From any thread. Into a closed channel nothing goes: the item is counted as dropped."""
        with self._state:
            while self.lossless and len(self._items) >= self.room and not self._closed:
                self._state.wait()
            if self._closed:
                self.dropped += 1
                self._lost(item)
                return
            began = False
            if len(self._items) >= self.room:
                self._lost(self._items.popleft())
                self.dropped += 1
                began = self._dropping == 0
                self._dropping += 1
            self._items.append(item)
        if began:
            log.warning("too slow: dropping the oldest", channel=self.name, room=self.room)
        self._loop.call_soon_threadsafe(self._wake.set)

    def close(self) -> None:
        """From any thread; closing twice does no harm."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            item, found = self._take()
            if found:
                assert item is not None
                yield item
            elif self._closed:
                return
            else:
                await self._wake.wait()

    def _take(self) -> tuple[T | None, bool]:
        with self._state:
            if not self._items:
                self._wake.clear()
                return None, False
            item = self._items.popleft()
            ended = self._dropping if not self._items else 0
            if ended:
                self._dropping = 0
            self._state.notify()
        if ended:
            log.warning("keeping up again", channel=self.name, dropped=ended, dropped_in_all=self.dropped)
        return item, True
