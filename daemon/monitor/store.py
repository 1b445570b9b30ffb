"""The monitor's one file: accounts, the records it heard, and the trail of what was done through it."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from daemon.audit import TABLE as AUDIT
from daemon.audit import Audit
from daemon.errors import CommandError, OutboxError
from daemon.monitor.accounts import TABLE as ACCOUNTS
from daemon.monitor.accounts import Accounts
from daemon.monitor.refusals import Refusals
from daemon.rates import Allowance
from daemon.record_messages import DraftMessage, SignedMessage
from daemon.transaction import transaction
from pipeline.drafts.record import Draft, decode

_TABLES = """
create table if not exists record(
    id text not null, version integer not null, bed text not null, subject text not null, episode text not
    null, status text not null, sha256 text not null, who text not null, told text not null, whole integer not
    null, payload blob not null, fhir blob not null, primary key(id, version));
create index if not exists by_bed on record(bed, told);
create view if not exists heard as select
    rowid as place, id, version, bed, subject, episode, status, sha256, who, told, whole from record;
"""
MOST_LISTED = 200
# New ones of a node, whatever it calls its beds: so many at once, as a broker brings them to a monitor that
# was away, and then one every so many seconds, 300 an hour.
RECORDS = (1000, 12.0)
# The file, bytes. Nothing is ever taken out of it, as the trail speaks of each record.
MOST_BYTES = 8 << 30
# Left free on its disk, bytes: accounts and the trail need some, and so do others.
LEAST_FREE_BYTES = 256 << 20
_FAULT = "what was heard is not what its hash says"

T = TypeVar("T")


class Heard(Struct, frozen=True):
    """A version of a record. told: UTC of its message. whole: False where only its name travelled."""

    id: str
    version: int
    bed: str
    subject: str
    episode: str
    status: str
    sha256: str
    who: str
    told: str
    whole: bool


class Store:
    """A context manager. Used by the event loop alone: each call is a few milliseconds."""

    def __init__(self, file: Path) -> None:
        """Raises OutboxError where the directory cannot hold it."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            self._db = sqlite3.connect(file, isolation_level=None)
            self._db.execute("pragma synchronous=full")
            for tables in (ACCOUNTS, _TABLES, AUDIT):
                self._db.executescript(tables)
            self._audit = Audit(self._db)
            self._folder = file.parent
        except (OSError, sqlite3.Error) as why:
            raise OutboxError(f"monitor {file}: {why}: is another monitor using it?") from None
        self.accounts = Accounts(self._db)
        self.refusals = Refusals(self.note)
        self._allowances: dict[str, Allowance] = {}

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.refusals.close()
        finally:
            self._db.close()

    def note(self, who: str, deed: str, **detail: Any) -> None:
        """Enters a deed into the trail."""
        self.deed(lambda: None, who, deed, **detail)

    def deed(self, do: Callable[[], T], who: str, deed: str, **detail: Any) -> T:
        """Does something to the file and enters it into the trail: both or neither."""
        with transaction(self._db, "monitor"):
            # The trail may have grown: the command line adds accounts while the monitor runs.
            self._audit = Audit(self._db)
            done = do()
            head = self._audit.append(time.time(), who, deed, detail)
        self._audit.settle(head)
        return done

    def keep(self, bed: str, message: DraftMessage | SignedMessage) -> bool:
        """Stores what was heard; False where it was there. Raises CommandError where it contradicts itself
        or what was heard before, or where there is no room for it."""
        about = message.draft
        payload, fhir = bytes(message.record), bytes(message.fhir)
        whole = payload != b"null"
        if whole:
            _check(payload, about.id, about.version, about.sha256)
        else:
            payload = msgspec.json.encode(about, order="deterministic")
        before = self.find(about.id, about.version)
        if before is not None:
            if before.sha256 != about.sha256:
                raise CommandError("another text was heard before under this name and version")
            return False
        self._require_room(bed.rpartition("/")[0])
        who, told = (message.who, message.when) if isinstance(message, SignedMessage) else ("", message.time)
        row = (about.id, about.version, bed, message.subject, message.episode, about.status, about.sha256)
        self.deed(
            lambda: self._db.execute(
                "insert into record(id,version,bed,subject,episode,status,sha256,who,told,whole,payload,fhir)"
                " values(?,?,?,?,?,?,?,?,?,?,?,?)",
                (*row, who, told, whole, payload, fhir),
            ),
            bed,
            "record heard",
            draft=about.id,
            version=about.version,
            sha256=hashlib.sha256(payload).hexdigest(),
            status=about.status,
        )
        return True

    def _require_room(self, node: str) -> None:
        """Raises CommandError."""
        (held,) = self._db.execute(
            "select page_count * page_size from pragma_page_count(), pragma_page_size()"
        ).fetchone()
        if held > MOST_BYTES:
            raise CommandError(
                f"the monitor's file has reached {MOST_BYTES >> 30} GiB: put it away and begin a new one"
            )
        if shutil.disk_usage(self._folder).free < LEAST_FREE_BYTES:
            raise CommandError("the disk of the state directory is nearly full: make room")
        allowance = self._allowances.setdefault(node, Allowance(*RECORDS))
        if not allowance.take(time.monotonic()):
            raise CommandError(f"too many new records of {node}: at most {3600 / RECORDS[1]:.0f} an hour")

    def find(self, draft: str, version: int) -> Heard | None:
        rows = self._db.execute("select * from heard where id=? and version=?", (draft, version))
        return next((_heard(row) for row in rows), None)

    def newest(self) -> list[Heard]:
        """Of each bed, the record that was heard last."""
        rows = self._db.execute(
            "select * from heard where place in (select max(rowid) from record group by bed)"
        )
        return [_heard(row) for row in rows]

    def records(self, bed: str) -> list[Heard]:
        """The newest version of each record about a bed, newest first."""
        rows = self._db.execute(
            "select * from heard where place in (select max(rowid) from record where bed=? group by id)"
            " order by place desc limit ?",
            (bed, MOST_LISTED),
        )
        return [_heard(row) for row in rows]

    def draft(self, heard: Heard) -> Draft:
        """Raises CommandError for one of which only the name travelled."""
        return decode(self.payload(heard))

    def payload(self, heard: Heard) -> bytes:
        """The record as it was heard, byte for byte. Raises CommandError, as `draft` does."""
        return self._whole(heard)[0]

    def fhir(self, heard: Heard) -> bytes:
        """Raises CommandError likewise."""
        return self._whole(heard)[1]

    def trail(self) -> list[Any]:
        """The newest entries, newest first."""
        rows = self._db.execute("select entry from audit order by number desc limit ?", (MOST_LISTED,))
        return [msgspec.json.decode(row[0]) for row in rows]

    def _whole(self, heard: Heard) -> tuple[bytes, bytes]:
        if not heard.whole:
            raise CommandError("the node sends only the names of its records: this one is read there")
        row = self._db.execute(
            "select payload, fhir from record where id=? and version=?", (heard.id, heard.version)
        ).fetchone()
        return bytes(row[0]), bytes(row[1])


def _heard(row: tuple[Any, ...]) -> Heard:
    """Of the view: its first column is the place in the table."""
    told = dict(zip(Heard.__struct_fields__, row[1:], strict=True))
    return msgspec.convert(told, Heard, strict=False)  # SQLite has numbers for booleans


def _check(payload: bytes, draft: str, version: int, sha256: str) -> None:
    """Nobody should sign what was changed on its way."""
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise CommandError(_FAULT)
    try:
        record = decode(payload)
    except msgspec.DecodeError as why:
        raise CommandError(f"what was heard is no record: {str(why)[:200]}") from None
    if (record.id, record.version) != (draft, version):
        raise CommandError(_FAULT)
