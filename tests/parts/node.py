"""The daemon in this process, with a real broker: for tests that look inside while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from broker import Listener
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.config import load_config
from daemon.service import Service
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.reader import Reader

TOPICS = "eegcopilot/v1/lab/n1"


@cache
def bundle() -> Bundle:
    return Bundle.load(shipped_bundle())


@cache
def reader() -> Reader:
    """One for all tests: loading takes longer than reading."""
    return Reader(bundle())


def configuration(folder: Path, port: int, streams: str) -> Path:
    file = folder / "copilot.toml"
    file.write_text(
        f'[mqtt]\nport = {port}\nsite = "lab"\nnode = "n1"\n[state]\ndirectory = "state"\n{streams}'
    )
    return file


def stream(name: str, source: str, more: str = "") -> str:
    return f'[[stream]]\nname = "{name}"\n{more}\nsource = {{{source}}}\n'


@dataclass
class Running:
    service: Service
    task: asyncio.Task[None]
    shutdown: asyncio.Event

    async def finish(self, timeout_s: float = 20.0) -> None:
        self.shutdown.set()
        await asyncio.wait_for(self.task, timeout_s)


@contextlib.asynccontextmanager
async def serving(file: Path) -> AsyncIterator[Running]:
    """The daemon with this configuration; ended whatever happens."""
    service = Service(load_config(file), bundle(), reader())
    shutdown, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(service.run(shutdown, ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        yield Running(service, task, shutdown)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def command(ear: Listener, name: str, verb: str, payload: bytes) -> dict[str, Any]:
    """Sends a command; gives the answer that carries its correlation data."""
    mark = os.urandom(8)
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = mark
    await ear.client.publish(f"{TOPICS}/cmd/{name}/{verb}", payload, 1, False, properties)

    def answers() -> list[dict[str, Any]]:
        return [
            payload
            for topic, payload, raw in ear.heard
            if topic.endswith("/response") and raw.properties.CorrelationData == mark
        ]

    await ear.until(answers)
    return answers()[0]
