"""The monitor's way to a broker, and what it says of commands that come to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest
import structlog
from broker import Mosquitto, listening
from certificates import Authority
from cryptography.hazmat.primitives import serialization
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.errors import CommandError, ConfigError
from daemon.messages import encode, stamped
from daemon.monitor.broker import Broker
from daemon.monitor.listener import ANSWER_S, MOST_ANSWER_BYTES, Listener
from daemon.monitor.settings import load_monitor_config
from daemon.record_messages import Answer

TOPIC = "eegcopilot/v1/n/r/cmd/bed/calibrate"
ASK = TOPIC.replace("calibrate", "ask")
# Many times what a refused handshake takes.
PATIENCE_S = 5.0
ACL = """\
topic read eegcopilot/#
topic write eegcopilot/v1/n/r/cmd/+/ask
"""


@contextlib.asynccontextmanager
async def connected(broker: Broker) -> AsyncIterator[Listener]:
    online = asyncio.Event()
    listener = Listener(broker, lambda *_: None, lambda up: online.set() if up else None)
    task = asyncio.create_task(listener.run())
    try:
        async with asyncio.timeout(30):
            await online.wait()
        yield listener
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_what_comes_to_nothing_is_said_at_once(free_mosquitto: Mosquitto) -> None:
    rules = free_mosquitto.folder / "acl"
    rules.write_text(ACL)
    free_mosquitto.configure(f"allow_anonymous true\nacl_file {rules}")
    free_mosquitto.start()

    async def talk() -> float:
        async with connected(Broker(port=free_mosquitto.port)) as listener:
            began = time.monotonic()
            with pytest.raises(CommandError, match="no node hears this command"):
                await listener.command(TOPIC.replace("calibrate", "ask"), b"{}")
            # Somebody hears it, were it allowed.
            async with listening(free_mosquitto.port, TOPIC):
                with pytest.raises(CommandError, match=f"denies this monitor {TOPIC}"):
                    await listener.command(TOPIC, b"{}")
                with pytest.raises(CommandError, match="denies this monitor"):
                    [_ async for _ in listener.ask(TOPIC, b"{}")]
            took = time.monotonic() - began
            free_mosquitto.kill()
            with pytest.raises(CommandError, match=r"not sent|not reached"):
                await listener.command(TOPIC, b"{}")
            return took

    assert asyncio.run(talk()) < ANSWER_S / 3


@contextlib.asynccontextmanager
async def chattering(port: int, piece: str, pause_s: float) -> AsyncIterator[None]:
    """A node that begins to answer a question and never ends."""

    async def talk() -> None:
        async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            await client.subscribe(ASK, 1)
            subscribed.set()
            asked = await anext(client.messages)
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = asked.properties.CorrelationData
            while not over.is_set():
                told = stamped(Answer(question="q", index=0, piece=piece, done=False), 1, time.time())
                await client.publish("eegcopilot/v1/n/r/bed/answer", encode(told), 1, properties=properties)
                await asyncio.sleep(pause_s)

    subscribed = asyncio.Event()
    over = asyncio.Event()
    task = asyncio.create_task(talk())
    try:
        await subscribed.wait()
        yield
    finally:
        over.set()
        await task


@pytest.mark.parametrize(("piece", "pause_s", "most_s"), [("x" * 4096, 0.0, 3600.0), ("x", 0.05, 1.0)])
def test_an_answer_without_end_is_cut_off(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, piece: str, pause_s: float, most_s: float
) -> None:
    """By its length, or by its time."""
    monkeypatch.setattr("daemon.monitor.listener.MOST_ANSWER_S", most_s)
    pieces: list[str] = []

    async def ask() -> None:
        async with (
            asyncio.timeout(60),
            connected(Broker(port=mosquitto.port)) as listener,
            chattering(mosquitto.port, piece, pause_s),
        ):
            async for _ in listener.ask(ASK, b"{}"):
                pieces.append(piece)  # noqa: PERF401 - what came before the refusal counts too

    with pytest.raises(CommandError, match="cut off"):
        asyncio.run(ask())
    assert pieces and len("".join(pieces)) <= MOST_ANSWER_BYTES


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_why_the_broker_is_not_reached_is_said_as_a_node_says_it(free_mosquitto: Mosquitto) -> None:
    """One implementation of TLS: the certificate's name is checked, and what fails is told in plain words."""
    folder = free_mosquitto.folder
    authority = Authority(folder, "hospital")
    pair = authority.server(name="elsewhere.example", address=None)
    free_mosquitto.configure(f"allow_anonymous true\ncertfile {pair.certificate}\nkeyfile {pair.key}")
    free_mosquitto.start()
    here = Broker(port=free_mosquitto.port, ca_file=str(authority.file))

    async def refused() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S), connected(here):
                pass

    with structlog.testing.capture_logs() as logs:
        asyncio.run(refused())
    assert [one["reason"] for one in logs] == [
        "the broker's certificate is for another address than broker.host"
    ]
    # paho leaves the socket of a failed handshake to the garbage collector, whose warning is this test's.
    gc.collect()

    async def let_in() -> None:
        lax = Broker(port=free_mosquitto.port, ca_file=str(authority.file), check_server_name=False)
        async with connected(lax):
            pass

    asyncio.run(let_in())


def test_what_cannot_work_is_refused_before_the_start(tmp_path: Path) -> None:
    pair = Authority(tmp_path, "hospital").client("ward-1")
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    locked.chmod(0o600)
    for lines, why in (
        (
            f'cert_file = "{pair.certificate}"\nkey_file = "{locked}"',
            "broker.key_file: .*without a passphrase",
        ),
        (f'cert_file = "{pair.certificate}"', "broker.key_file: a client certificate needs both"),
        ('ca_file = "none.pem"', r"broker.ca_file: .*none.pem is not a file"),
        ('username = "ward-1"', "broker.username: 'ward-1' has no password"),
        ("tls = true\nplain_over_network = true", "the connection is encrypted: leave it out"),
    ):
        file = tmp_path / "monitor.toml"
        file.write_text(f"[broker]\n{lines}\n")
        with pytest.raises(ConfigError, match=why) as refusal:
            load_monitor_config(file)
        assert len(str(refusal.value).splitlines()) == 1
