"""Where records live: every version of every draft, with the audit trail in the same file and transaction."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from daemon.alarms import Alarms
from daemon.audit import TABLE, Audit
from daemon.errors import OutboxError
from daemon.outbox_file import CACHE_KIB
from daemon.transaction import transaction
from pipeline.drafts.record import Draft, EpisodeRef, decode, digest, encode

FILE = "records.sqlite"
# What `_versions` reads. Bytes, as a damaged text need not be UTF-8.
_VERSION = "cast(id as blob), version, cast(payload as blob)"
_UNREADABLE = "records-unreadable"

_TABLES = f"""
create table if not exists record(
    id text not null, version integer not null, status text not null, stream text not null, subject text not
    null, episode text not null, created real not null, payload blob not null, posted integer not null default
    0, primary key(id, version)); create index if not exists by_episode on record(episode, version); create
    index if not exists by_subject on record(subject, created); {TABLE}
"""


class Archive:
    """One file. A context manager."""

    def __init__(self, directory: Path, alarms: Alarms | None = None) -> None:
        """Raises OutboxError where the directory cannot hold it, or another program's file lies there."""
        file = directory / FILE
        self._alarms = alarms or Alarms()
        # Records come from one thread, what happens at the door from another; the chain has one end.
        self._one_at_a_time = threading.Lock()
        try:
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as why:
            raise OutboxError(f"records {file}: {why}: make room or set [state] directory") from None
        try:
            # Signatures are few and must outlive a power cut: every commit reaches the disk.
            self._db.execute("pragma synchronous=full")
            # Deleted or moved bytes are overwritten, so that nothing hides in the file's unused parts.
            self._db.execute("pragma secure_delete=on")
            self._db.execute(f"pragma cache_size=-{CACHE_KIB}")
            self._db.executescript(_TABLES)
            self.audit = Audit(self._db)
        except (sqlite3.Error, TypeError, ValueError) as why:
            self._db.close()
            raise OutboxError(f"records {file}: {why}: move the file away to begin a new one") from None

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def add(self, draft: Draft, actor: str, action: str, **more: Any) -> str:
        """Stores a version and enters it into the trail, both or neither. Returns its sha256."""
        told = digest(draft)
        detail = {"draft": draft.id, "version": draft.version, "status": draft.status, "sha256": told}
        with self._entering(actor, action, detail | more):
            self._db.execute(
                "insert into record(id,version,status,stream,subject,episode,created,payload)"
                " values(?,?,?,?,?,?,?,?)",
                (
                    draft.id,
                    draft.version,
                    draft.status,
                    draft.provenance.stream,
                    draft.subject,
                    draft.episode.id,
                    time.time(),
                    encode(draft),
                ),
            )
        return told

    def note(self, actor: str, action: str, **detail: Any) -> None:
        """Enters a deed that made no record, such as a refusal."""
        with self._entering(actor, action, detail):
            pass

    def newest(self, draft_id: str) -> Draft | None:
        """None where there is none, or where it cannot be read."""
        return self._one("id=? order by version desc", draft_id)

    def open_draft(self, episode: str) -> Draft | None:
        """The newest version of the draft about an episode, unless it has been decided on."""
        draft = self._one("episode=? order by rowid desc", episode)
        return draft if draft is not None and draft.status == "preliminary" else None

    def episodes(self, subject: str, most: int) -> list[EpisodeRef]:
        """Of a subject, newest first, each once."""
        with self._transaction():
            rows = self._db.execute(
                f"select {_VERSION}, max(rowid) from record where subject=? group by episode"  # nosec # B608: our own words
                " order by 4 desc limit ?",
                (subject, most),
            ).fetchall()
        return [draft.episode for draft in self._versions(rows)]

    def unposted(self) -> list[Draft]:
        """Versions that were stored but may not have reached the outbox, oldest first."""
        query = f"select {_VERSION} from record where posted=0 order by rowid"  # nosec # B608: our own words
        with self._transaction():
            rows = self._db.execute(query).fetchall()
        return list(self._versions(rows))

    def posted(self, draft: Draft) -> None:
        with self._transaction():
            self._db.execute("update record set posted=1 where id=? and version=?", (draft.id, draft.version))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._one_at_a_time, transaction(self._db, "records"):
            yield

    @contextmanager
    def _entering(self, actor: str, action: str, detail: dict[str, Any]) -> Iterator[None]:
        """A transaction that ends with an entry; the chain goes on from it once it is on the disk."""
        with self._one_at_a_time:
            with transaction(self._db, "records"):
                yield
                head = self.audit.append(time.time(), actor, action, detail)
            self.audit.settle(head)

    def _one(self, where: str, value: str) -> Draft | None:
        query = f"select {_VERSION} from record where {where} limit 1"  # nosec # B608: our own words
        with self._transaction():
            rows = self._db.execute(query, (value,)).fetchall()
        return next(self._versions(rows), None)

    def _versions(self, rows: list[tuple[Any, ...]]) -> Iterator[Draft]:
        """Without those that cannot be read, which stay in the file: one must not keep back the others."""
        for name, version, payload, *_ in rows:
            try:
                yield decode(payload)
            except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as why:
                of = bytes(name or b"").decode(errors="replace")
                self._alarms.begin(
                    _UNREADABLE,
                    f"version {version} of draft {of} cannot be read ({why}), is kept in {FILE} and "
                    "not sent: see `eeg-copilot audit verify`",
                )
