"""Debian's mosquitto on a free port, and a subscriber that waits for what a test expects."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiomqtt
import msgspec
import pytest

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """A broker that can be killed and come back on the same port."""

    def __init__(self, folder: Path, *, settings: str = "allow_anonymous true") -> None:
        self.port = free_port()
        self.folder = folder
        self._file = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """For the next start; access rules are read anew on SIGHUP."""
        self._file.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{settings}\n")

    def start(self) -> Mosquitto:
        with (self.folder / "mosquitto.log").open("ab") as output:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self._file), "-v"], stdout=output, stderr=output
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return self
            time.sleep(0.02)
        raise RuntimeError(f"mosquitto did not start: {(self.folder / 'mosquitto.log').read_text()}")

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP: it is there and does nothing; SIGCONT: it goes on; SIGHUP: it reads its access rules."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        self._stop(signal.SIGKILL)

    def stop(self) -> None:
        self._stop(signal.SIGTERM)

    def _stop(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)  # one that was stopped would not hear of its end
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


class Listener:
    """Remembers every message under a filter, as (topic, payload decoded from JSON, message).

    What is no JSON, as between nodes and readers, is remembered as {}.
    """

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.heard: list[tuple[str, dict, aiomqtt.Message]] = []
        self._news = asyncio.Event()

    async def collect(self) -> None:
        async for message in self.client.messages:
            payload = {}
            with contextlib.suppress(msgspec.DecodeError):
                payload = msgspec.json.decode(message.payload)
            self.heard.append((message.topic.value, payload, message))
            self._news.set()

    def under(self, end: str) -> list[dict]:
        """Payloads of topics that end so, in order."""
        return [payload for topic, payload, _ in self.heard if topic.endswith(end)]

    async def until(self, true: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Waits until something heard makes it true."""
        async with asyncio.timeout(timeout_s):
            while not true():
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def listening(port: int, topic: str = "eegcopilot/#") -> AsyncIterator[Listener]:
    """A subscriber over MQTT 5 that is surely subscribed."""
    async with (
        aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client,
        hearing(client, topic) as listener,
    ):
        yield listener


@contextlib.asynccontextmanager
async def hearing(client: aiomqtt.Client, *topics: str) -> AsyncIterator[Listener]:
    """A connected client that is surely subscribed."""
    listener = Listener(client)
    for topic in topics:
        await client.subscribe(topic, qos=1)
    task = asyncio.create_task(listener.collect())
    try:
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def free_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that is not started yet; stopped at the end whatever happened."""
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    yield broker
    broker.stop()


@pytest.fixture
def mosquitto(free_mosquitto: Mosquitto) -> Mosquitto:
    """A running broker of the test's own: nothing retained by others is in it."""
    return free_mosquitto.start()
