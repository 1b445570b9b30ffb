"""The demo's subscriber: a real MQTT client that hears what any monitor would hear."""

from __future__ import annotations

import asyncio
import time

import aiomqtt

from daemon.decoding import decode
from daemon.demo.headset import Headset
from daemon.demo.screen import Screen
from daemon.messages import Emotion, NodeStatus, StreamStatus, unix


class Subscriber:
    """Counts readings and their latencies (milliseconds, from the window's last sample to here)."""

    def __init__(self, screen: Screen, headset: Headset) -> None:
        self.labels = 0
        self.abstained = 0
        self.missed = 0
        self.latencies_ms: list[float] = []
        self.subscribed = asyncio.Event()
        self._screen = screen
        self._headset = headset
        self._seq = 0

    async def run(self, port: int, node: str, stream: str) -> None:
        """Until the daemon says goodbye. node: the beginning of its topics."""
        async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe([(f"{node}/status", 1), (f"{node}/{stream}/#", 1)])
            self.subscribed.set()
            async for message in client.messages:
                now = time.time()
                match decode(bytes(message.payload)):
                    case Emotion() as emotion:
                        self._emotion(emotion, now)
                    case StreamStatus() as status:
                        self._screen.status(status)
                    case NodeStatus(state="stopped"):
                        return
                    case _:
                        pass

    def _emotion(self, emotion: Emotion, now: float) -> None:
        self.missed += emotion.seq - self._seq - 1
        self._seq = emotion.seq
        self.labels += not emotion.abstained
        self.abstained += emotion.abstained
        # The message says when it was made and how long after the last sample that was.
        latency_ms = (now - unix(emotion.time)) * 1e3 + emotion.latency_ms.total
        self.latencies_ms.append(latency_ms)
        doing = self._headset.doing(unix(emotion.window.start), unix(emotion.window.end))
        self._screen.emotion(emotion, latency_ms, doing)
