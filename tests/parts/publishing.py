"""A publisher with its outbox and a stream that takes commands, against whatever broker a test has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from broker import Mosquitto

from daemon.commands import Commands, Patient
from daemon.messages import BundleInfo, Emotion, Info, Latency, ModelRef, WindowSpan
from daemon.mqtt_settings import Mqtt
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.publisher import Publisher
from daemon.topics import Topics

INFO = Info(
    session=1,
    started="2026-01-01T00:00:00Z",
    versions={},
    bundle=BundleInfo(id="x-1", sha256="0" * 64, labels=["calm", "stress"], label_schema="calm-stress"),
    config_sha256="0" * 64,
    streams=[],
)


def emotion(quality: float = 1.0) -> Emotion:
    return Emotion(
        subject="pseudo-1",
        window=WindowSpan(start="", end="", gap_pct=0.0, clock_unc_ms=0.4),
        label="calm",
        p={"calm": 0.75, "stress": 0.25},
        p_smooth={"calm": 0.75, "stress": 0.25},
        abstained=False,
        reason="",
        quality=quality,
        latency_ms=Latency(label=1.0, total=2.0),
        model=ModelRef(id="x-1", sha256="0" * 64),
    )


@dataclass
class Bed:
    """A stream as commands see it: writes down what it was told."""

    told: list[object] = field(default_factory=list)

    def calibrate(self) -> str:
        self.told.append("calibrate")
        return "rest from now on"

    def patient(self, patient: Patient) -> str:
        self.told.append(patient)
        return "from the next window on"


@dataclass
class Node:
    """A publisher with all that belongs to it."""

    publisher: Publisher
    commands: Commands
    outbox: Outbox
    post: Post
    bed: Bed
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def finish(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 15)


@contextlib.asynccontextmanager
async def running(mqtt: Mqtt, folder: Path) -> AsyncIterator[Node]:
    with Outbox(folder) as outbox:
        post = Post(outbox, Topics(mqtt.site, mqtt.node), 60.0)
        bed = Bed()
        commands = Commands({"bed": bed}, post)
        publisher = Publisher(mqtt, outbox, post, lambda: INFO, commands.handle)
        stop = asyncio.Event()
        task = asyncio.create_task(publisher.run(stop))
        try:
            yield Node(publisher, commands, outbox, post, bed, stop, task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def at(broker: Mosquitto, **more: object) -> Mqtt:
    return Mqtt(port=broker.port, site="lab", node="n1", **more)  # type: ignore[arg-type]
