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

from daemon.archive import Archive
from daemon.draft_settings import Drafts
from daemon.drafting import Drafting
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.record_post import RecordPost
from daemon.topics import Topics
from pipeline.drafts.drafting import Order


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
    monkeypatch.setattr("daemon.drafting.FULL_S", 0.1)

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
