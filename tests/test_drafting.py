"""The drafting thread on a disk that takes no records: what is due waits, whoever asks is answered."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from daemon.archive import FILE, Archive
from daemon.commands import Patient
from daemon.draft_settings import Drafts
from daemon.drafting import MOST_WAITING, Drafting
from daemon.errors import CommandError
from daemon.record_commands import Sign
from daemon.scribe import Scribe

UNKNOWN = Sign(draft="0" * 32, version=1, signer="dr-1", decision="accept")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.job_queue.FULL_S", 0.5)


@asynccontextmanager
async def drafting(folder: Path) -> AsyncIterator[tuple[Drafting, Archive]]:
    """At work until all is done."""
    with Archive(folder) as archive:
        made = Drafting(Drafts(), {}, archive, None, lambda: (None, None))  # type: ignore[arg-type, return-value]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(made.run())
            yield made, archive
            made.close()


def deeds(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / FILE)) as db:
        return [json.loads(entry)["action"] for (entry,) in db.execute("select entry from audit")]


def test_whoever_signs_is_answered_though_others_wait_for_room(tmp_path: Path) -> None:
    async def body() -> None:
        async with drafting(tmp_path) as (made, archive):
            archive._db.execute("pragma query_only=on")
            made.enter("bed", "patient context")
            while not made._jobs._full_until:  # noqa: ASYNC110 (it has no event)
                await asyncio.sleep(0.02)
            with pytest.raises(CommandError):
                await asyncio.wait_for(made.sign("bed", UNKNOWN), 10)
            archive._db.execute("pragma query_only=off")

    asyncio.run(body())
    assert "patient context" in deeds(tmp_path)


def test_another_person_is_met_however_much_waits(tmp_path: Path) -> None:
    """Refused half way, the new person would be labelled against the rest of the one before."""

    async def body() -> None:
        async with drafting(tmp_path) as (made, archive):
            archive._db.execute("pragma query_only=on")
            scribe = Scribe("bed", Drafts(), None, 2.0, Patient(subject="pseudo-0"), made)  # type: ignore[arg-type]
            for _ in range(MOST_WAITING):
                scribe.learn(Patient(subject="pseudo-0"))
            scribe.meet(Patient(subject="pseudo-1"))
            assert scribe.context.subject == "pseudo-1"
            archive._db.execute("pragma query_only=off")

    asyncio.run(body())
    assert deeds(tmp_path).count("patient context") == MOST_WAITING + 2
