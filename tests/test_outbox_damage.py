"""One flipped bit, one lost page: what it costs, and that nothing goes out that nobody wrote."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from daemon.outbox import Outbox

TOPIC = "eegcopilot/v1/home/n1/bed-1/emr/draft"
DRAFTS = 60


def draft(n: int) -> bytes:
    return b'{"seq":%d,"text":"%s"}' % (n, b"x" * 400)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Sixty drafts that wait."""
    with Outbox(tmp_path) as outbox:
        for n in range(1, DRAFTS + 1):
            outbox.put(TOPIC, draft(n))
    return tmp_path / "outbox.sqlite"


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
