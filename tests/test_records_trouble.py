"""Records in trouble: an outbox that takes none for a while, a damaged file, somebody else's file."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from bare_drafts import NoGuide, Plain
from episodes_at_hand import context, maker, simulated

from daemon.alarms import Alarms
from daemon.archive import FILE, Archive
from daemon.cli import main
from daemon.draft_settings import Drafts
from daemon.drafting import Drafting
from daemon.errors import OutboxError
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.record_post import RecordPost
from daemon.topics import Topics
from pipeline.drafts.drafting import Drafter, Order
from pipeline.drafts.record import Draft


def order(n: int = 1) -> Order:
    return Order(simulated(n, ("calm", "stress"))[0], context(), maker(), "test", time.time(), "bed")


def drafting(archive: Archive, outbox: Outbox) -> Drafting:
    post = RecordPost(Post(outbox, Topics("lab", "n1"), 60.0))
    return Drafting(Drafts(), {}, archive, post, lambda: (NoGuide(), Plain()))


async def told(what: Callable[[], object]) -> None:
    while True:
        if what():
            return
        await asyncio.sleep(0.05)


def test_the_archive_keeps_a_draft_that_the_outbox_has_in_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.job_queue.FULL_S", 0.1)

    async def body(archive: Archive, outbox: Outbox) -> None:
        thread = drafting(archive, outbox)
        running = asyncio.create_task(thread.run())
        other = sqlite3.connect(tmp_path / "outbox.sqlite", isolation_level=None)
        other.execute("begin immediate")
        made = thread.draft(order())
        async with asyncio.timeout(60):
            await told(lambda: outbox.counts()["in_memory"])
            await asyncio.sleep(0.5)  # as long as some tries
            (kept,) = archive.unposted()
            assert not made.done()
            other.execute("rollback")
            other.close()
            await told(lambda: outbox.waiting(0, 1) and made.done())  # as the publisher asks
        assert archive.unposted() == [] and outbox.counts()["in_memory"] == 0
        (row,) = outbox.waiting(0, 10)
        assert msgspec.json.decode(row.payload)["draft"]["id"] == kept.id
        thread.close()
        await running

    with Archive(tmp_path) as archive, Outbox(tmp_path) as outbox:
        asyncio.run(body(archive, outbox))


def stored(folder: Path) -> list[Draft]:
    """Three drafts about one person that the outbox has not got."""
    drafter = Drafter(NoGuide(), Plain())
    drafts = [drafter.draft(order(n)) for n in range(3)]
    with Archive(folder) as archive:
        for draft in drafts:
            archive.add(draft, "model", "draft")
    return drafts


@pytest.mark.parametrize(
    "damage",
    [
        "payload=cast(substr(payload, 1, 10) || x'ff' || substr(payload, 12) as blob)",
        "payload=cast(x'ff' || payload as text)",
        "payload='{}', id=cast(x'e5' || id as text)",
    ],
)
def test_one_record_that_cannot_be_read_keeps_back_no_other(tmp_path: Path, damage: str) -> None:
    first, second, third = stored(tmp_path)
    db = sqlite3.connect(tmp_path / FILE)
    with db:
        db.execute(f"update record set {damage} where id=?", (second.id,))
    db.close()
    alarms = Alarms()
    with Archive(tmp_path, alarms) as archive, Outbox(tmp_path) as outbox:
        assert archive.unposted() == [first, third]
        (line,) = alarms.lines
        assert second.id[2:] in line and "not sent" in line and "\n" not in line
        assert archive.newest(first.id) == first and archive.newest(second.id) is None
        assert archive.open_draft(second.episode.id) is None
        assert first.episode in archive.episodes(first.subject, 10)

        async def body() -> None:
            thread = drafting(archive, outbox)
            thread.close()
            await thread.run()

        asyncio.run(body())
        told = [msgspec.json.decode(row.payload)["draft"]["id"] for row in outbox.waiting(0, 10)]
        assert told == [first.id, third.id]
        # Only what was told is let go of; the other is there for whoever mends the file.
        assert archive.unposted() == []
        assert main(["audit", "verify", str(tmp_path / FILE)]) == 1


@pytest.mark.parametrize(
    "foreign",
    [
        "create table audit(number text, entry text, hash text); insert into audit values('x','y','z')",
        "create table audit(number integer primary key, entry text not null, who text)",
        "create table audit(number integer, entry text, hash text); insert into audit values(null,'y','z')",
    ],
)
def test_a_file_of_another_program_is_said_in_one_line(tmp_path: Path, foreign: str) -> None:
    db = sqlite3.connect(tmp_path / FILE)
    db.executescript(foreign)
    db.close()
    with pytest.raises(OutboxError, match=r"move the file away") as refusal:
        Archive(tmp_path)
    assert "\n" not in str(refusal.value)
