"""The outbox: what waits survives, what is confirmed is done, what is refused is in nobody's way."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.errors import OutboxError
from daemon.outbox import Keep, Outbox


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def payloads(outbox: Outbox, after: int = 0) -> list[bytes]:
    return [row.payload for row in outbox.waiting(after, 1000)]


def test_order_and_fields(folder: Path) -> None:
    with Outbox(folder) as outbox:
        outbox.put("a", b"1", qos=0, retain=True, keep=Keep.WHILE_ROOM, expiry_s=60.0)
        outbox.put("b", b"2", correlation=b"\x00x")
        one, two = outbox.waiting(0, 10)
        assert (one.topic, one.payload, one.qos, one.retain, one.keep) == (
            "a",
            b"1",
            0,
            True,
            Keep.WHILE_ROOM,
        )
        assert (two.qos, two.retain, two.expiry_s, two.correlation) == (1, False, None, b"\x00x")
        assert outbox.waiting(one.id, 10) == [two]
        assert outbox.changed.is_set()


def test_what_waits_survives_and_numbers_go_on(folder: Path) -> None:
    with Outbox(folder) as outbox:
        for n in range(5):
            assert outbox.peek_seq("t") == n + 1
            outbox.put("t", str(n).encode())
        outbox.settle(outbox.waiting(0, 1)[0].id, 0)
        session = outbox.session
    with Outbox(folder) as outbox:
        assert payloads(outbox) == [b"1", b"2", b"3", b"4"]
        assert outbox.peek_seq("t") == 6
        assert outbox.session == session + 1
        assert outbox.counts()["waiting"] == 4


def test_killed_process_loses_nothing(folder: Path) -> None:
    code = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom daemon.outbox import Outbox\n"
        "box = Outbox(Path(sys.argv[1]))\n"
        "for n in range(200): box.put('t', str(n).encode())\n"
        "print('put', flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, timeout=60)
    assert run.stdout == b"put\n"
    with Outbox(folder) as outbox:
        assert payloads(outbox) == [str(n).encode() for n in range(200)]


def test_refused_is_kept_apart(folder: Path) -> None:
    with Outbox(folder) as outbox:
        for n in range(3):
            outbox.put("t", str(n).encode())
        rows = outbox.waiting(0, 3)
        outbox.settle(rows[0].id, 135)  # not authorised
        outbox.settle(rows[1].id, 16)  # no subscriber, which is a success
        assert payloads(outbox) == [b"2"]
        counts = outbox.counts()
        assert (counts["waiting"], counts["refused"], counts["dropped"], counts["expired"]) == (1, 1, 0, 0)
        assert outbox.purge(0) == 1
        assert outbox.counts()["refused"] == 1


def test_full_drops_oldest_readings_only(folder: Path) -> None:
    with Outbox(folder, max_waiting=100) as outbox:
        for n in range(50):
            outbox.put("draft", b"d%d" % n)
            outbox.put("emotion", b"e%d" % n, keep=Keep.WHILE_ROOM, expiry_s=1.0)
        for n in range(50, 70):
            outbox.put("emotion", b"e%d" % n, keep=Keep.WHILE_ROOM, expiry_s=1.0)
        left = payloads(outbox)
        assert [p for p in left if p.startswith(b"d")] == [b"d%d" % n for n in range(50)]
        assert [p for p in left if p.startswith(b"e")] == [b"e%d" % n for n in range(20, 70)]
        assert outbox.counts()["dropped"] == outbox.counts()["dropped_emotion"] == 20
        for n in range(200):  # drafts are never dropped, not even for drafts
            outbox.put("draft", b"x%d" % n)
        assert sum(p.startswith((b"d", b"x")) for p in payloads(outbox)) == 250


def test_stale_is_not_sent_but_counted(folder: Path) -> None:
    with Outbox(folder) as outbox:
        outbox.put("health", b"h", keep=Keep.WHILE_FRESH, expiry_s=-1.0)
        outbox.put("emotion", b"e", keep=Keep.WHILE_ROOM, expiry_s=-1.0)
        assert payloads(outbox) == [b"e"]
        counts = outbox.counts()
        assert (counts["waiting"], counts["expired"], counts["expired_health"]) == (1, 1, 1)


def test_purge_keeps_what_waits_and_what_is_young(folder: Path) -> None:
    with Outbox(folder) as outbox:
        outbox.put("t", b"1")
        outbox.put("t", b"2")
        outbox.settle(outbox.waiting(0, 1)[0].id, 0)
        assert outbox.purge(1.0) == 0
        assert outbox.purge(-1.0) == 1
        assert payloads(outbox) == [b"2"]


def test_one_daemon_a_directory(folder: Path) -> None:
    with Outbox(folder), pytest.raises(OutboxError, match="in use by another"):
        Outbox(folder)
    with Outbox(folder):
        pass


def test_refusals_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match="state directory") as refusal:
        Outbox(tmp_path / "file" / "state")
    assert "\n" not in str(refusal.value)


def test_file_is_write_ahead(folder: Path) -> None:
    with Outbox(folder):
        other = sqlite3.connect(folder / "outbox.sqlite")
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)
        other.close()


def test_put_wakes_a_waiter(folder: Path) -> None:
    async def body() -> None:
        with Outbox(folder) as outbox:
            waiter = asyncio.create_task(outbox.changed.wait())
            await asyncio.sleep(0)
            outbox.put("t", b"1")
            assert await asyncio.wait_for(waiter, 5)

    asyncio.run(body())
