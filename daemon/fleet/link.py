"""One connection to the broker after the other, for what is worth nothing later: it needs no outbox."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import aiomqtt
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from daemon.confirmed import ConfirmedClient
from daemon.login import NodeLogin

log = structlog.get_logger("fleet")

_BACKOFF_S = (0.25, 5.0)

Session = Callable[[], Awaitable[None]]


async def keep_connected(session: Session, login: NodeLogin, stop: asyncio.Event) -> None:
    """Runs `session`, each of which is one connection, until one ends by itself or `stop` is set.

    Raises LoginError where the broker has never let this user in.
    """
    backoff, said = _BACKOFF_S[0], ""
    while True:
        before = login.connects
        try:
            login.renew()
            await session()
            return
        except aiomqtt.MqttError as why:
            if login.connects > before:
                backoff, said = _BACKOFF_S[0], ""
            said = login.failed(why, said)
        with contextlib.suppress(TimeoutError):
            # Jitter: after a broker's restart not all its clients should come at once.
            await asyncio.wait_for(stop.wait(), backoff * random.uniform(0.5, 1.5))
        if stop.is_set():
            return
        backoff = min(2 * backoff, _BACKOFF_S[1])


async def subscribe(client: ConfirmedClient, topic: str) -> bool:
    """At QoS 1; False, and said, where the broker denies it."""
    granted = await client.subscribe(topic, qos=1)
    denied = any(isinstance(code, ReasonCode) and code.is_failure for code in granted)
    if denied:
        log.error("the broker denies a subscription: check its access rules", topic=topic)
    return not denied
