"""What mosquitto's log says of denied publishes is entered, through rotations, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import aiomqtt
import pytest
from broker import Mosquitto

from daemon.broker_log import BrokerLog

BASE = "eegcopilot/v1/lab/n1"


def came(client: str, user: str) -> str:
    return (
        f"2026-01-31T12:00:00: New client connected from 127.0.0.1:5 as {client} (p5, c1, k60, u'{user}').\n"
    )


def denied(client: str, topic: str) -> str:
    return f"2026-01-31T12:00:01: Denied PUBLISH from {client} (d0, q1, r1, m7, '{topic}', ... (12 bytes))\n"


def test_denials_are_entered_once_through_rotations(tmp_path: Path) -> None:
    file = tmp_path / "mosquitto.log"
    file.write_text(came("early", "monitor-0") + denied("early", f"{BASE}/bed/emotion"))
    entered: list[tuple[str, str, str]] = []

    def note(actor: str, action: str, *, user: str, client: str, topic: str) -> None:
        assert (actor, action) == ("broker", "publish denied")
        entered.append((user, client, topic))

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():  # noqa: ASYNC110 (a file has no event)
                await asyncio.sleep(0.05)

    async def body() -> None:
        follow = asyncio.create_task(BrokerLog(file, BASE, note).follow())
        with file.open("a") as out:
            out.write(
                denied("early", f"{BASE}/bed/quality") + denied("early", "another/node") + "rubbish \x00\n"
            )
            out.write(came("late", "x'y") + denied("late", f"{BASE}/status")[:40])
            out.flush()
            await until(lambda: len(entered) == 1)
            out.write(denied("late", f"{BASE}/status")[40:])
        await until(lambda: len(entered) == 2)
        file.rename(tmp_path / "mosquitto.log.1")
        await asyncio.sleep(0)
        file.write_text(denied("late", f"{BASE}/info"))
        await until(lambda: len(entered) == 3)
        follow.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follow

    asyncio.run(body())
    assert entered == [
        ("monitor-0", "early", f"{BASE}/bed/quality"),
        ("x'y", "late", f"{BASE}/status"),
        ("x'y", "late", f"{BASE}/info"),
    ]


# What a client of no rights may call itself, to keep out of the trail or to put another's name into it.
AS_A_LINE = "New client connected from a as b (p5, c1, k60)."
AS_WARD = f"Denied PUBLISH from ward-1 (d0, q1, r0, m1, '{BASE}/bed/emotion', ... (2 bytes))"
BEHIND_WARD = f"ward-1 (d0, q1, r0, m1, '{BASE}/bed/emotion', ... (2 bytes))"


def test_a_client_neither_hides_its_denials_nor_gives_them_anothers_name(
    free_mosquitto: Mosquitto, tmp_path: Path
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("pattern write allowed\n")
    free_mosquitto.configure(f"allow_anonymous true\nacl_file {rules}")
    port = free_mosquitto.start().port
    entered: list[tuple[str, str, str]] = []

    def note(actor: str, action: str, *, user: str, client: str, topic: str) -> None:
        entered.append((user, client, topic))

    async def publish(client: str, user: str, topic: str, bridge: bool = False) -> None:
        version = aiomqtt.ProtocolVersion.V311 if bridge else aiomqtt.ProtocolVersion.V5
        someone = aiomqtt.Client("127.0.0.1", port, identifier=client, username=user, protocol=version)
        if bridge:
            someone._client.enable_bridge_mode()
        async with someone:
            await someone.publish(topic, "{}", qos=1)

    async def body() -> None:
        log = BrokerLog(free_mosquitto.folder / "mosquitto.log", BASE, note)
        follow = asyncio.create_task(log.follow())
        await publish("ward-1", "ward", "allowed")
        await publish(AS_A_LINE, "eve", f"{BASE}/bed/emotion")
        await publish(AS_WARD, "eve", "allowed")
        await publish(BEHIND_WARD, "eve", f"{BASE}/bed/emotion")
        await publish(BEHIND_WARD, "eve", "elsewhere")
        await publish(BEHIND_WARD + "y" * 1000, "eve", f"{BASE}/bed/emotion")
        await publish("it's quoted", "eve", f"{BASE}/it's (d0, q1, r0, m1, 'else")
        await publish("ward-1", "eve", f"{BASE}/bed/emotion", bridge=True)
        async with asyncio.timeout(30):
            while len(entered) < 6:  # noqa: ASYNC110 (a file has no event)
                await asyncio.sleep(0.05)
        follow.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follow

    asyncio.run(body())
    assert entered == [
        ("eve", AS_A_LINE, f"{BASE}/bed/emotion"),
        ("eve", BEHIND_WARD, f"{BASE}/bed/emotion"),
        ("eve", BEHIND_WARD, "elsewhere"),
        ("", (BEHIND_WARD + "y" * 1000)[:200], ""),
        ("", f"it's quoted (d0, q1, r0, m1, '{BASE}/it's", "else"),
        ("eve", "ward-1", f"{BASE}/bed/emotion"),
    ]


@pytest.mark.parametrize("stamp", ["", "1795424410: ", "2026-01-31 12:00:00: ", "Sat Jan 31 12:00:00 2026: "])
def test_each_form_of_time_is_read_and_only_a_lines_beginning_is_the_brokers(
    tmp_path: Path, stamp: str
) -> None:
    file = tmp_path / "mosquitto.log"
    file.touch()
    entered: list[str] = []
    reading = BrokerLog(file, BASE, lambda *_, client, **__: entered.append(client))

    async def body() -> None:
        follow = asyncio.create_task(reading.follow())
        lie = denied("liar", f"{BASE}/status").partition(": ")[2].strip()
        said = [f"Client x: {lie}", f"Sending CONNACK to {lie}", f"\t{lie}", lie.replace("liar", "honest")]
        file.write_text("".join(f"{stamp}{line}\n" for line in said))
        async with asyncio.timeout(30):
            while not entered:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        follow.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follow

    asyncio.run(body())
    assert entered == ["honest"]
