"""One flipped bit, one lost page: what it costs, and that nothing goes out that nobody wrote."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import fill, small_disk
from waiting import until

from daemon.errors import OutboxError
from daemon.outbox import Outbox

TOPIC = "eegcopilot/v1/home/n1/bed-1/emr/draft"
DRAFTS = 60


PAGE = 4096


def draft(n: int) -> bytes:
    return b'{"seq":%d,"text":"%s"}' % (n, b"x" * 400)


def filled(folder: Path, drafts: int = DRAFTS) -> Path:
    with Outbox(folder) as outbox:
        for n in range(1, drafts + 1):
            outbox.put(TOPIC, draft(n))
    return folder / "outbox.sqlite"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Sixty drafts that wait."""
    return filled(tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "24m") as disk:
        yield disk


def root(file: Path, name: str) -> int:
    """The first page of a table or index."""
    db = sqlite3.connect(file)
    try:
        query = "select rootpage from sqlite_master where name=?"
        return int(db.execute(query, (name,)).fetchone()[0])
    finally:
        db.close()


def overwrite(file: Path, page: int, content: bytes = bytes(PAGE)) -> None:
    with file.open("r+b") as raw:
        raw.seek((page - 1) * PAGE)
        raw.write(content)


def asides(file: Path) -> list[Path]:
    return list(file.parent.glob("outbox.sqlite.damaged-*"))


def sql(file: Path, statement: str) -> None:
    db = sqlite3.connect(file)
    with db:
        db.execute(statement)
    db.close()


def sent(outbox: Outbox) -> list[bytes]:
    """All that is offered, in order, confirmed as it comes."""
    payloads = []
    while rows := outbox.waiting(0, 32):
        for row in rows:
            assert row.topic == TOPIC
            payloads.append(row.payload)
            outbox.settle(row.id, 0)
    return payloads


@pytest.mark.parametrize(
    "damage",
    [
        "topic=cast(x'e5' || substr(topic, 2) as text)",
        "topic=replace(topic, 'c', '#')",
        "keep=67",
        "created='x'",
        "payload=cast(payload as text)",
        "retain=2",
        "tries='x'",
    ],
)
def test_a_message_that_cannot_be_read_keeps_back_no_other(file: Path, damage: str) -> None:
    sql(file, f"update message set {damage} where id in (1, 5)")
    with Outbox(file.parent) as outbox:
        assert sent(outbox) == [draft(n) for n in range(1, DRAFTS + 1) if n not in (1, 5)]
        (line,) = outbox.alarms.lines
        assert "2 messages in it cannot be read" in line and "\n" not in line
        counts = outbox.counts()
        assert (counts["waiting"], counts["damaged"]) == (0, 2)
    with Outbox(file.parent) as outbox:  # kept for whoever wants to look, and counted
        assert sent(outbox) == [] and outbox.counts()["damaged"] == 2
        query = "select id from message where state=4"
        assert outbox._store._db.execute(query).fetchall() == [(1,), (5,)]


def test_a_queue_of_nothing_else_is_not_empty(file: Path) -> None:
    sql(file, "update message set keep=67 where id<=50")
    with Outbox(file.parent) as outbox:
        assert outbox.waiting(0, 1)[0].payload == draft(51)


def test_refused_ones_too(file: Path) -> None:
    sql(file, "update message set state=2, keep=iif(id=1, 67, 0) where id<=2")
    with Outbox(file.parent) as outbox:
        due = outbox.refused()
        assert due is not None and due.payload == draft(2)
        assert outbox.counts()["refused"] == 1


def test_a_lost_page_costs_what_was_on_it(file: Path) -> None:
    page = file.read_bytes().find(draft(20)) // PAGE + 1
    on_it = [n for n in range(1, DRAFTS + 1) if file.read_bytes().find(draft(n)) // PAGE + 1 == page]
    overwrite(file, page)
    with Outbox(file.parent) as outbox:
        left = [n for n in range(1, DRAFTS + 1) if n not in on_it]
        assert len(on_it) == 8 and on_it[-1] < DRAFTS  # some lie on either side
        (line,) = outbox.alarms.lines
        assert f"{len(left)} waiting messages were saved" in line and "\n" not in line
        assert outbox.peek_seq(TOPIC) == DRAFTS + 1 and outbox.session == 2
        assert sent(outbox) == [draft(n) for n in left]
    with Outbox(file.parent) as outbox:
        assert outbox.alarms.lines == [] and outbox.session == 3
    assert len(asides(file)) == 1


@pytest.mark.parametrize("name", ["sequence", "sqlite_sequence", "by_state", "by_topic", "start", "tally"])
def test_a_lost_page_of_anything_else_costs_no_message(file: Path, name: str) -> None:
    overwrite(file, root(file, name))
    with Outbox(file.parent) as outbox:
        assert f"{DRAFTS} waiting messages were saved" in outbox.alarms.lines[0]
        # Numbers are in the messages too.
        assert outbox.peek_seq(TOPIC) == DRAFTS + 1
        outbox.put(TOPIC, draft(DRAFTS + 1))
        assert sent(outbox) == [draft(n) for n in range(1, DRAFTS + 2)]


@pytest.mark.parametrize("text", [b"CREATE TABLE sqlite_sequence", b"CREATE TABLE message", b"tablesequence"])
@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_a_damaged_schema_costs_no_message(file: Path, text: bytes, bit: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[raw.find(text) + len(text) - 3] ^= bit
    file.write_bytes(raw)
    with Outbox(file.parent) as outbox:
        assert "schema" in outbox.alarms.lines[0]
        assert outbox.peek_seq(TOPIC) == DRAFTS + 1
        assert sent(outbox) == [draft(n) for n in range(1, DRAFTS + 1)]
    (aside,) = asides(file)
    assert aside.read_bytes() == raw  # as it was, for whoever can do more with it


@pytest.mark.parametrize(
    "damage",
    [
        "update sequence set last='x'",
        "update sqlite_sequence set seq=1 where name='message'",
        "update sqlite_sequence set name='messagf' where name='message'",
        "update message set state=16 where id=7",
    ],
)
def test_numbers_that_are_none(file: Path, damage: str) -> None:
    sql(file, damage)
    with Outbox(file.parent) as outbox:
        outbox.put(TOPIC, draft(outbox.peek_seq(TOPIC)))
        assert sent(outbox) == [draft(n) for n in range(1, DRAFTS + 2)]
        assert f"{DRAFTS} waiting messages were saved" in outbox.alarms.lines[0]


@pytest.mark.parametrize("which", [0, 1])
def test_an_index_that_names_another_message(file: Path, which: int) -> None:
    raw, at = bytearray(file.read_bytes()), (root(file, "by_state") - 1) * PAGE
    found = raw.index(b"\x04\x08\x01\x01\x2c\x2c", at, at + PAGE)  # header, state 0, id 44, rowid 44
    raw[found + 4 + which] ^= 0x40
    file.write_bytes(raw)
    with Outbox(file.parent) as outbox:
        assert set(sent(outbox)) == {draft(n) for n in range(1, DRAFTS + 1)}
        assert "was damaged" in outbox.alarms.lines[0]


def test_any_flipped_bit_costs_little_and_is_said(file: Path, tmp_path: Path) -> None:
    good, chance = file.read_bytes(), random.Random(1)
    for n in range(100):
        raw = bytearray(good)
        at = chance.choice([at for at in range(len(raw)) if raw[at]])
        raw[at] ^= 1 << chance.randrange(8)
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "outbox.sqlite").write_bytes(raw)
        with Outbox(folder) as outbox:
            offered = set()
            while rows := outbox.waiting(0, 32):
                for row in rows:
                    offered.add(row.id)
                    outbox.settle(row.id, 0)
            assert len(offered) >= DRAFTS or outbox.alarms.lines, at
            assert len(offered) >= DRAFTS - 8 or at < 100, at  # the first hundred bytes say what file it is


KILLED = """
import os, sys
from pathlib import Path
from daemon import outbox_salvage
from daemon.outbox import Outbox
step, real, calls = sys.argv[2], Path.replace, iter(range(9))
def replace(self, to):
    if step == f"before {next(calls)}":
        os._exit(9)
    return real(self, to)
def read(found, real=outbox_salvage.read):
    if step == "copying" and found[0] == 30:
        os._exit(9)
    return real(found)
Path.replace, outbox_salvage.read = replace, read
Outbox(Path(sys.argv[1]))
os._exit(9)
"""


@pytest.mark.parametrize("step", ["copying", "before 0", "before 1", "before 2", "at its end"])
def test_killed_while_a_damaged_file_is_set_aside(file: Path, step: str) -> None:
    overwrite(file, root(file, "by_state"), b"\xff" * PAGE)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file.parent), step], check=False)
    assert killed.returncode == 9
    with Outbox(file.parent) as outbox:
        assert sent(outbox) == [draft(n) for n in range(1, DRAFTS + 1)]
        assert outbox.peek_seq(TOPIC) == DRAFTS + 1
        told = [f"{DRAFTS} waiting messages were saved" in line for line in outbox.alarms.lines]
        # The start that was killed last had told it.
        assert told == ([] if step == "at its end" else [True])
    assert len(asides(file)) == 1
    assert {one.name for one in file.parent.iterdir()} == {"outbox.lock", file.name, asides(file)[0].name}


def test_damaged_again_and_again_no_file_is_overwritten(file: Path) -> None:
    for n in range(1, 5):
        overwrite(file, root(file, "by_state"), b"\xff" * PAGE)
        with Outbox(file.parent) as outbox:
            assert len(outbox.alarms.lines) == 1
        assert len(asides(file)) == n


def test_no_room_to_save_what_waits_leaves_the_damaged_file(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.outbox_disk._SAVE_AGAIN_S", 0.0)
    with Outbox(disk / "state") as outbox:
        for n in range(1, 301):
            outbox.put(TOPIC, draft(n))
        outbox._store._db.execute("pragma wal_checkpoint(truncate)")
        file = disk / "state" / "outbox.sqlite"
        page = file.read_bytes().find(draft(1)) // PAGE + 1
        good = file.read_bytes()[(page - 1) * PAGE : page * PAGE]
        on_it = sum(draft(n) in good for n in range(1, 301))
        overwrite(file, page)
        outbox._store._db.execute("pragma shrink_memory")  # it is read anew
        filler = fill(disk)
        assert outbox.waiting(0, 32) == []
        (line,) = outbox.alarms.lines
        assert "damaged" in line and "make room" in line and "\n" not in line
        outbox.put(TOPIC, draft(301))
        assert [row.payload for row in outbox.waiting(0, 32)] == [draft(301)]  # it goes on from memory
        with pytest.raises(OutboxError):
            outbox.harden()
        assert asides(file) == [] and not list(file.parent.glob("outbox.sqlite.sav*"))
        filler.unlink()
        until(lambda: outbox.waiting(0, 1) and not outbox.counts()["in_memory"])
        (line,) = outbox.alarms.lines
        assert f"{300 - on_it} waiting messages were saved" in line
        assert sent(outbox) == [draft(n) for n in range(on_it + 1, 302)]
        assert outbox.peek_seq(TOPIC) == 302
    with Outbox(disk / "state") as outbox:
        assert outbox.session == 2 and outbox.alarms.lines == []


def test_no_room_at_the_start_leaves_the_damaged_file(disk: Path) -> None:
    file = filled(disk / "state")
    overwrite(file, root(file, "by_state"), b"\xff" * PAGE)
    filler = fill(disk)
    for _ in range(2):
        with pytest.raises(OutboxError, match="make room") as refusal:
            Outbox(disk / "state")
        assert "\n" not in str(refusal.value) and asides(file) == []
    filler.unlink()
    with Outbox(disk / "state") as outbox:
        assert sent(outbox) == [draft(n) for n in range(1, DRAFTS + 1)]
