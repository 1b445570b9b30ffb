"""One connection to the broker after the other, for as long as it takes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import aiomqtt
import structlog

from daemon.backoff import Backoff
from daemon.confirmed import ConfirmedClient
from daemon.login import NodeLogin
from daemon.reasons import denied

log = structlog.get_logger("link")

Session = Callable[[], Awaitable[None]]

# A broker that takes a connection and hangs up at once is not there: pauses go on growing.
_HELD_S = 10.0


async def keep_connected(
    session: Session, login: NodeLogin, stop: asyncio.Event, most_s: float = 5.0
) -> bool:
    """Runs `session`, each of which is one connection, until one ends by itself: True; or `stop` is set
    while there is none: False.

    most_s: between two attempts. Raises LoginError where the broker has never let this user in.
    """
    backoff, said = Backoff(0.25, most_s), ""
    while True:
        before, began = login.connects, time.monotonic()
        try:
            login.renew()
            await session()
            return True
        except aiomqtt.MqttError as why:
            if login.connects > before and time.monotonic() - began > _HELD_S:
                backoff.begin_anew()
                said = ""
            said = login.failed(why, said)
        with contextlib.suppress(TimeoutError):
            # wait_for swallows a cancellation that comes with the event.
            async with asyncio.timeout(backoff.pause_s()):
                await stop.wait()
        if stop.is_set():
            return False


async def subscribe(client: ConfirmedClient, topic: str, qos: int = 1) -> bool:
    """False, and said, where the broker denies it."""
    granted = await client.subscribe(topic, qos=qos)
    if denied(granted):
        log.error("the broker denies a subscription: check its access rules", topic=topic)
        return False
    return True
