"""What mosquitto's log says of denied publishes is entered, through rotations, and nothing else is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

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
