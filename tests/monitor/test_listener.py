"""The monitor's way to a broker, and what it says of commands that come to nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from broker import Mosquitto, listening
from certificates import Authority
from cryptography.hazmat.primitives import serialization

from daemon.errors import CommandError, ConfigError
from daemon.monitor.broker import Broker
from daemon.monitor.listener import ANSWER_S, Listener
from daemon.monitor.settings import load_monitor_config

TOPIC = "eegcopilot/v1/n/r/cmd/bed/calibrate"
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
