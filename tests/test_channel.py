"""The channel from a source's thread: order, bound, count, closing."""

import asyncio
import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.channel import Channel


async def drain(channel: Channel[int]) -> list[int]:
    return [item async for item in channel]


@given(st.integers(1, 20), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_full_drops_the_oldest_and_counts(room: int, n: int) -> None:
    async def body() -> None:
        channel = Channel[int]("test", room)
        for item in range(n):
            channel.put(item)
        channel.close()
        assert await drain(channel) == list(range(max(0, n - room), n))
        assert channel.dropped == max(0, n - room)

    asyncio.run(body())


def producing(channel: Channel[int], n: int) -> threading.Thread:
    """Puts 0 to n - 1 from a thread, then closes the channel."""

    def produce() -> None:
        for item in range(n):
            channel.put(item)
        channel.close()

    thread = threading.Thread(target=produce)
    thread.start()
    return thread


def test_from_a_thread_nothing_is_lost_or_reordered() -> None:
    async def body() -> None:
        channel = Channel[int]("test", 100_000)
        thread = producing(channel, 20_000)
        assert await drain(channel) == list(range(20_000))
        thread.join()
        assert channel.dropped == 0

    asyncio.run(body())


def test_lossless_makes_the_thread_wait() -> None:
    async def body() -> None:
        channel = Channel[int]("test", 3, lossless=True)
        thread = producing(channel, 1000)
        seen = []
        async for item in channel:
            assert len(channel) <= 3
            seen.append(item)
        thread.join()
        assert seen == list(range(1000))
        assert channel.dropped == 0

    asyncio.run(body())


def test_closing_frees_a_waiting_thread() -> None:
    async def body() -> None:
        channel = Channel[int]("test", 1, lossless=True)
        channel.put(1)
        thread = threading.Thread(target=channel.put, args=(2,))
        thread.start()
        channel.close()
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
        assert await drain(channel) == [1]
        assert channel.dropped == 1

    asyncio.run(body())


def test_after_closing_nothing_goes_in() -> None:
    async def body() -> None:
        channel = Channel[int]("test", 5)
        channel.put(1)
        channel.close()
        channel.put(2)
        channel.close()
        assert await drain(channel) == [1]
        assert channel.dropped == 1

    asyncio.run(body())
