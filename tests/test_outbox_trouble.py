"""The outbox in trouble: full, on a full disk, damaged, killed; and what is asked for anew."""

import itertools
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import fill, small_disk
from waiting import until

from daemon.errors import OutboxError
from daemon.outbox import Keep, Outbox

READING = b'{"seq":%d}' + b" " * 1000


def payloads(outbox: Outbox, after: int = 0) -> list[bytes]:
    return [row.payload for row in outbox.waiting(after, 100_000)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "6m") as disk:
        yield disk


def test_a_full_disk_costs_memory_and_heals_by_itself(disk: Path) -> None:
    with Outbox(disk / "state") as outbox:
        for n in range(20):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
        filler = fill(disk)
        for n in range(20, 1000):
            assert outbox.peek_seq("a/emotion") == n + 1
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
        assert outbox.counts()["in_memory"] > 0
        assert any("make room" in line for line in outbox.alarms.lines)
        # It goes on sending: what the broker confirms meanwhile is not sent twice.
        first = outbox.waiting(0, 400)
        assert [row.payload for row in first] == [READING % n for n in range(400)]
        for row in first:
            outbox.settle(row.id, 0)
        assert payloads(outbox) == [READING % n for n in range(400, 1000)]
        filler.unlink()
        until(lambda: outbox.waiting(0, 1) and not outbox.counts()["in_memory"])
        assert outbox.alarms.lines == []
        assert payloads(outbox) == [READING % n for n in range(400, 1000)]
        assert outbox.counts()["waiting"] == 600
        assert outbox.counts()["dropped"] == 0
    with Outbox(disk / "state") as outbox:
        assert payloads(outbox) == [READING % n for n in range(400, 1000)]
        assert outbox.peek_seq("a/emotion") == 1001


def test_memory_is_bounded_counted_and_keeps_drafts(disk: Path) -> None:
    with Outbox(disk / "state") as outbox:
        outbox.put("a/emotion", b"0", keep=Keep.WHILE_ROOM)
        filler = fill(disk)
        for n in itertools.count(1):  # until the write-ahead log has no room left either
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
            if outbox.counts()["in_memory"]:
                break
        before = outbox.counts()["waiting"]
        for n in range(3000):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
            if n % 300 == 0:
                outbox.put("a/emr/draft", b"draft %d" % n)
        counts = outbox.counts()
        assert counts["in_memory"] == 2000
        assert counts["dropped"] == counts["dropped_emotion"] == before + 3010 - counts["waiting"]
        filler.unlink()
        # Ten times its former size: a disk has to be larger than what waits in memory.
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        until(lambda: outbox.waiting(0, 1) and not outbox.counts()["in_memory"])
        left = payloads(outbox)
        assert [p for p in left if p.startswith(b"draft")] == [b"draft %d" % n for n in range(0, 3000, 300)]
        dropped = outbox.counts()["dropped"]
        assert dropped == counts["dropped"]
    with Outbox(disk / "state") as outbox:
        assert outbox.counts()["dropped"] == dropped


def test_a_damaged_file_is_set_aside_and_what_waits_is_saved(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for n in range(2000):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
    file = tmp_path / "outbox.sqlite"
    size = file.stat().st_size
    with file.open("r+b") as raw:  # pages at its end, where the newest rows and the index lie
        raw.seek(size - 300_000)
        raw.write(os.urandom(300_000))
    with Outbox(tmp_path) as outbox:
        (line,) = outbox.alarms.lines
        assert "set aside as outbox.sqlite.damaged-" in line and "\n" not in line
        left = payloads(outbox)
        # Whole ones only, in order, and all of those before the damage.
        assert left[:1500] == [READING % n for n in range(1500)]
        assert left == [READING % n for n in range(2000) if READING % n in left] and len(left) < 2000
        assert outbox.peek_seq("a/emotion") == 2001
        outbox.put("a/emotion", b"next", keep=Keep.WHILE_ROOM)
        assert outbox.session == 2
    assert len(list(tmp_path.glob("outbox.sqlite.damaged-*"))) == 1


def test_no_database_at_all_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").write_bytes(b"this is no database at all" * 100)
    with Outbox(tmp_path) as outbox:
        assert "0 waiting messages were saved" in outbox.alarms.lines[0]
        outbox.put("t", b"1")
        assert payloads(outbox) == [b"1"]


def test_damage_under_way_ends_nothing(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for n in range(500):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
        outbox._store._db.execute("pragma wal_checkpoint(truncate)")
        file = tmp_path / "outbox.sqlite"
        with file.open("r+b") as raw:
            raw.seek(4096)
            raw.write(os.urandom(file.stat().st_size - 4096))
        # Only a new connection reads the file again instead of its own cache.
        outbox._store._db.execute("pragma cache_size=0")
        outbox._store._db.execute("pragma shrink_memory")
        for n in range(500, 510):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
        until(lambda: outbox.waiting(0, 1) and not outbox.counts()["in_memory"])
        assert payloads(outbox)[-10:] == [READING % n for n in range(500, 510)]
        assert any("set aside" in line for line in outbox.alarms.lines)
        assert outbox.peek_seq("a/emotion") == 511


def test_bytes_are_bounded_sent_ones_go_first(tmp_path: Path) -> None:
    with Outbox(tmp_path, max_bytes=2**20) as outbox:
        for n in range(400):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
        for row in outbox.waiting(0, 200):
            outbox.settle(row.id, 0)
        for n in range(400, 1000):
            outbox.put("a/emotion", READING % n, keep=Keep.WHILE_ROOM)
        outbox.put("a/status", b"episode or state", keep=Keep.LONG)
        counts = outbox.counts()
        assert counts["kib"] <= 1024
        assert counts["forgotten"] == 200
        assert counts["dropped_emotion"] == 1000 - 200 - (counts["waiting"] - 1) > 0
        left = payloads(outbox)
        assert left[:-1] == [READING % n for n in range(1000 - len(left) + 1, 1000)]
        for n in range(2000):
            outbox.put("a/emr/draft", b"d%d" % n + bytes(1000))
        left = payloads(outbox)
        # Drafts alone break the bound; nothing else is left, and that is counted too.
        assert len(left) == 2000
        assert outbox.counts()["dropped_status"] == 1
        assert any("full" in line for line in outbox.alarms.lines)


def test_refused_is_offered_again_ever_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.outbox_store._RETRY_S", (1.5, 3.0))  # longer than a busy disk takes
    with Outbox(tmp_path) as outbox:
        for n in range(3):
            outbox.put("a/emr/draft", b"%d" % n)
        for row in outbox.waiting(0, 3):
            outbox.settle(row.id, 135)
        assert "a/emr/draft" in outbox.alarms.lines[0]
        assert outbox.refused() is None and payloads(outbox) == []
        until(outbox.refused)
        first = outbox.refused()
        assert first is not None and (first.payload, first.tries) == (b"0", 1)
        outbox.settle(first.id, 135)
        until(lambda: (row := outbox.refused()) and row.payload == b"1")
    with Outbox(tmp_path) as outbox:  # a restart forgets none of them
        assert outbox.alarms.lines
        until(lambda: (row := outbox.refused()) and row.payload == b"1")
        outbox.settle(outbox.refused().id, 0)
        # Somebody has mended it: the others need not wait their time.
        rest = []
        while row := outbox.refused():
            rest.append(row.payload)
            outbox.settle(row.id, 0)
        assert sorted(rest) == [b"0", b"2"]
        assert outbox.alarms.lines == []
        assert outbox.counts()["refused"] == 0


def test_refused_for_months(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.put("a/emr/draft", b"1")
        outbox._store._db.execute("update message set tries=5000")  # one an hour
        (row,) = outbox.waiting(0, 1)
        before = time.time()
        outbox.settle(row.id, 135)
        due, tries = outbox._store._db.execute("select retry, tries from message").fetchone()
        assert (due, tries) == (pytest.approx(before + 3600, abs=60), 5001)


def test_a_period_is_sent_again(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        for n in range(6):
            outbox.put("a/emotion" if n % 2 else "a/episode", b"%d" % n)
        for row in outbox.waiting(0, 5):
            outbox.settle(row.id, 0)
        outbox._store._db.execute("update message set created=1000+id")
        assert outbox.replay(1002, 1004, lambda topic: topic.endswith("emotion")) == 2
        first, second = outbox.again(10, set())
        assert (first.payload, second.payload, first.again) == (b"1", b"3", True)
        assert outbox.again(10, {first.id}) == [second]
    with Outbox(tmp_path) as outbox:  # asked for is asked for
        for row in outbox.again(10, set()):
            outbox.settle(row.id, 0)
        assert outbox.again(10, set()) == []
        assert payloads(outbox) == [b"5"]


def test_the_clock_set_by_an_hour_ages_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Outbox(tmp_path) as outbox:
        outbox.put("health", b"h", keep=Keep.WHILE_FRESH, expiry_s=60.0)
        for step in (3600.0, -7200.0):
            real = time.time
            monkeypatch.setattr(time, "time", lambda: real() + step)  # noqa: B023
            outbox._swept = 0.0
            (row,) = outbox.waiting(0, 10)
            assert row.created == pytest.approx(time.time(), abs=5)
            monkeypatch.setattr(time, "time", real)
            outbox._swept = 0.0
            outbox.waiting(0, 10)


def test_what_is_hardened_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, int]] = []
    real = os.fdatasync

    def fdatasync(file: int) -> None:
        real(file)
        synced.append((str(Path(f"/proc/self/fd/{file}").readlink()), os.fstat(file).st_size))

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with Outbox(tmp_path) as outbox:
        outbox.put("a/emr/draft", b"x" * 100_000)
        assert synced == []  # readings share this thread, and would wait
        outbox.harden()
        ((file, size),) = synced
        assert file == str(tmp_path / "outbox.sqlite-wal") and size > 100_000
        outbox.put("a/emr/draft", b"y")
        assert len(payloads(outbox)) == 2


def test_what_is_in_memory_only_is_not_hard(tmp_path: Path) -> None:
    with Outbox(tmp_path) as outbox:
        other = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
        other.execute("begin immediate")  # as a backup does
        outbox.put("a/emr/draft", b'{"draft":1}')
        other.execute("rollback")
        other.close()
        with pytest.raises(OutboxError, match="in memory"):
            outbox.harden()
        until(lambda: outbox.waiting(0, 1) and not outbox.counts()["in_memory"])
        outbox.harden()
        assert payloads(outbox) == [b'{"draft":1}']


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "outbox.sqlite")
    db.executescript(
        "create table message(id integer primary key autoincrement, created real not null,"
        " topic text not null, payload blob not null, qos integer not null, retain integer not null,"
        " keep integer not null, expiry_s real, correlation blob,"
        " state integer not null default 0, settled real, reason integer);"
        "create table sequence(topic text primary key, last integer not null) without rowid;"
        "insert into sequence values('t', 7);"
        "insert into message(created,topic,payload,qos,retain,keep) values(1e9,'t',x'31',1,0,0);"
    )
    db.close()
    with Outbox(tmp_path) as outbox:
        assert payloads(outbox) == [b"1"]
        assert outbox.peek_seq("t") == 8


KILLED = """
import os, sys
from pathlib import Path
from daemon.outbox import Outbox
box = Outbox(Path(sys.argv[1]))
for n in range(int(sys.argv[2]), 10**9):
    box.put("t", b"%d" % n)
    print(n, flush=True)
"""


def test_killed_at_any_moment_nothing_put_is_lost(tmp_path: Path) -> None:
    put = -1
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), str(put + 1)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(20 + 7 * round_):
            put = int(process.stdout.readline())
        process.kill()
        for line in process.stdout.read().splitlines():
            put = max(put, int(line))
        process.wait()
        process.stdout.close()
        with Outbox(tmp_path) as outbox:
            stored = [int(p) for p in payloads(outbox)]
        # One may have been put without its line having got out.
        assert stored[: put + 1] == list(range(put + 1)) and len(stored) <= put + 2
        put = stored[-1]
