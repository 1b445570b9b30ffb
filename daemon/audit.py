"""The audit trail: each entry's hash covers the one before, so that nothing can be changed without a trace.

What a chain cannot show is that its last entries were cut off: for that, each draft and signature is sent
with the newest entry's number and hash.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.messages import iso

TABLE = (
    "create table if not exists audit(number integer primary key, entry text not null, hash text not null);"
)
_BEGINNING = hashlib.sha256(b"eegcopilot.audit/1").hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry; number 0 before the first."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """entries: read and found right. bad: number of the first bad one, None if all are. why: one line."""

    entries: int
    bad: int | None
    why: str
    head: Head


class Audit:
    """Appends to the trail within the caller's transaction, so that a deed and its entry are one."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        last = db.execute("select number, hash from audit order by number desc limit 1").fetchone()
        self.head = Head(int(last[0]), str(last[1])) if last else Head(0, _BEGINNING)

    def append(self, now: float, actor: str, action: str, detail: dict[str, Any]) -> Head:
        """now: UTC seconds. The head moves with `settle`, once the transaction is through."""
        number = self.head.number + 1
        entry = _canonical(
            {"n": number, "time": iso(now), "actor": actor, "action": action, "detail": detail}
        )
        digest = _link(self.head.hash, entry)
        self._db.execute("insert into audit(number, entry, hash) values(?,?,?)", (number, entry, digest))
        return Head(number, digest)

    def settle(self, head: Head) -> None:
        self.head = head


def verify(file: Path, known: Head | None = None) -> Verdict:
    """Reads the whole trail, and every record that it speaks of.

    known: an entry and its hash, as told earlier.

    Raises sqlite3.Error only where the file cannot even be opened.
    """
    with_records: dict[tuple[str, int], tuple[int, str]] = {}
    number, previous = 0, _BEGINNING
    db = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    db.text_factory = bytes  # a tampered text need not be UTF-8
    try:
        try:
            for found, raw, digest in _rows(db):
                fault = _fault(found, number + 1, raw, digest, previous)
                if fault:
                    return Verdict(number, number + 1, fault, Head(number, previous))
                number, previous = number + 1, digest.decode()
                if known is not None and known.number == number and known.hash != previous:
                    return Verdict(
                        number, number, "its hash is not the one told earlier", Head(number, previous)
                    )
                detail = json.loads(raw)["detail"]
                if "sha256" in detail:
                    with_records[detail["draft"], detail["version"]] = (number, detail["sha256"])
        except (sqlite3.Error, UnicodeDecodeError) as why:
            return Verdict(number, number + 1, f"it cannot be read: {why}", Head(number, previous))
        head = Head(number, previous)
        if known is not None and known.number > number:
            return Verdict(number, number + 1, f"it is gone: entry {known.number} was told earlier", head)
        return _records(db, with_records, head)
    finally:
        db.close()


def _rows(db: sqlite3.Connection) -> Iterator[tuple[Any, Any, Any]]:
    yield from db.execute("select number, entry, hash from audit order by number")


def _fault(found: Any, number: int, raw: Any, digest: Any, previous: str) -> str:
    if found != number:
        return f"it is gone: the next one has number {found}"
    if not isinstance(raw, bytes) or not isinstance(digest, bytes):
        return "it is no text"
    try:
        entry = raw.decode()
        if json.loads(entry).get("n") != number:
            return "it carries another entry's number"
    except (ValueError, AttributeError):
        return "it is no entry"
    if _link(previous, entry).encode() != digest:
        return "its content does not fit its hash"
    return ""


def _records(db: sqlite3.Connection, told: dict[tuple[str, int], tuple[int, str]], head: Head) -> Verdict:
    """Every stored version as the trail says it was."""
    left = dict(told)
    bad: list[tuple[int, str]] = []
    try:
        for draft, version, payload in db.execute("select id, version, payload from record order by rowid"):
            key = (draft.decode(errors="replace") if isinstance(draft, bytes) else str(draft), version)
            number, digest = left.pop(key, (None, ""))
            body = payload if isinstance(payload, bytes) else str(payload).encode()
            if number is None:
                bad.append(
                    (head.number + 1, f"record {key[0]} version {version} is stored but was never entered")
                )
            elif hashlib.sha256(body).hexdigest() != digest:
                bad.append((number, f"the record of version {version} that it speaks of was changed"))
    except sqlite3.Error as why:
        bad.append((head.number + 1, f"records cannot be read: {why}"))
    bad += [(number, "the record that it speaks of is gone") for number, _ in left.values()]
    if bad:
        first, reason = min(bad)
        return Verdict(head.number, first, reason, head)
    return Verdict(head.number, None, "", head)


def _link(previous: str, entry: str) -> str:
    return hashlib.sha256(f"{previous}\n{entry}".encode()).hexdigest()


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
