"""The audit trail: whatever is changed, `audit verify` names the first entry that it touches."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from bare_drafts import NoGuide, Plain
from episodes_at_hand import context, maker, simulated

from daemon.archive import FILE, Archive
from daemon.audit import Head, verify
from daemon.cli import main
from pipeline.drafts.drafting import Drafter, Order
from pipeline.drafts.record import encode

NOTES = 12


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Two drafts, and notes before and after them."""
    drafter = Drafter(NoGuide(), Plain())
    with Archive(tmp_path) as archive:
        for n in range(NOTES):
            archive.note("bed-1", "question answered", question=f"question number {n} of the day")
            if n in (3, 7):
                course = simulated(n, ("calm", "stress"))[0]
                archive.add(
                    drafter.draft(Order(course, context(), maker(), "test", 1.77e9)), "model", "draft"
                )
    return tmp_path / FILE


def test_an_untouched_trail_is_right(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = verify(records)
    assert (verdict.bad, verdict.entries) == (None, NOTES + 2)
    assert verify(records, verdict.head).bad is None
    assert main(["audit", "verify", str(records)]) == 0
    assert "14 entries, all right" in capsys.readouterr().out


@pytest.mark.parametrize("n", [0, 5, 11])
def test_one_byte_of_an_entry_is_named(records: Path, n: int, capsys: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(records.read_bytes())
    at = raw.index(f"question number {n} of".encode()) + 3
    raw[at] ^= 1
    records.write_bytes(raw)
    number = n + 1 + (n > 3) + (n > 7)
    assert verify(records).bad == number
    assert main(["audit", "verify", str(records.parent)]) == 1
    assert f"entry {number} is bad" in capsys.readouterr().out


def test_any_byte_is_found_or_changed_nothing(records: Path, tmp_path: Path) -> None:
    """A flip in an unused part of the file, or in SQLite's own counters, changes no entry and no record."""
    whole, raw = content(records), records.read_bytes()
    copy = tmp_path / "copy.sqlite"
    found = 0
    for at in range(0, len(raw), 211):
        copy.write_bytes(raw[:at] + bytes([raw[at] ^ 0x21]) + raw[at + 1 :])
        try:
            named = verify(copy).bad is not None
        except sqlite3.Error:
            named = True
        found += named
        assert named or content(copy) == whole, at
    assert found > 50


def content(file: Path) -> list[tuple[object, ...]]:
    db = sqlite3.connect(file)
    try:
        return [
            *db.execute("select number, entry, hash from audit order by number"),
            *db.execute("select id, version, payload from record order by rowid"),
        ]
    finally:
        db.close()


STATEMENTS = [
    ("delete from audit where number=4", 4),
    ("update audit set number=99 where number=6", 6),
    ("update audit set entry=(select entry from audit where number=2) where number=3", 3),
    ("update record set payload=replace(payload, '\"preliminary\"', '\"final\"')", 5),
    ("delete from record where rowid=2", 10),
]


@pytest.mark.parametrize(("statement", "number"), STATEMENTS)
def test_changes_through_sqlite_are_named(records: Path, statement: str, number: int) -> None:
    db = sqlite3.connect(records)
    with db:
        db.execute(statement)
    db.close()
    assert verify(records).bad == number


def test_a_trail_that_was_cut_off_or_rewritten_is_seen_by_whoever_was_told_its_head(records: Path) -> None:
    head = verify(records).head
    cut = records.with_name("cut.sqlite")
    shutil.copy(records, cut)
    db = sqlite3.connect(cut)
    with db:
        db.execute("delete from audit where number>12")
    db.close()
    assert verify(cut).bad is None
    assert verify(cut, head).bad == 13
    assert verify(records, Head(head.number, "0" * 64)).bad == head.number


def test_a_record_that_was_never_entered_is_seen(records: Path) -> None:
    drafter = Drafter(NoGuide(), Plain())
    draft = drafter.draft(Order(simulated(1, ("calm", "stress"))[0], context(), maker(), "test", 1.77e9))
    db = sqlite3.connect(records)
    with db:
        db.execute(
            "insert into record(id,version,status,stream,subject,episode,created,payload)"
            " values(?,1,'','','','',0,?)",
            (draft.id, encode(draft)),
        )
    db.close()
    assert "never entered" in verify(records).why


def test_no_file_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(tmp_path / "none.sqlite")]) == 1
    assert "no such file" in capsys.readouterr().err
