"""Which signed commands were obeyed already: remembered across restarts, so that none is obeyed twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from daemon.errors import OutboxError
from daemon.transaction import transaction

FILE = "nonces.sqlite"
# Longer than any span that the configuration allows, so that a nonce outlives every change of it.
KEEP_S = 86400.0

# at: when it was signed, UTC seconds.
_TABLES = (
    "create table if not exists seen(signer text not null, nonce text not null, at real not null,"
    " primary key(signer, nonce)) without rowid",
    "create table if not exists latest(signer text primary key, at real not null) without rowid",
    "insert or ignore into latest select signer, max(at) from seen group by signer",
)


class Nonces:
    """Only what carries a valid signature comes in here, so that strangers cannot fill it."""

    def __init__(self, directory: Path) -> None:
        """The directory has to be there. Raises OutboxError."""
        file = directory / FILE
        try:
            self._db = sqlite3.connect(file, isolation_level=None)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            for statement in _TABLES:
                self._db.execute(statement)
        except sqlite3.Error as why:
            raise OutboxError(f"{file}: {why}: move the file away to begin a new one") from None

    def __enter__(self) -> Nonces:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def take(self, signer: str, nonce: str, signed: float, span_s: float) -> Literal["new", "seen", "old"]:
        """new: obey it. seen: the signer has used the nonce before. old: signed more than span_s seconds
        before the latest one that was obeyed, so that its nonce may be forgotten.

        No clock of the node's is asked: set back, it would make what is forgotten good again.
        signed: UTC seconds. Raises OutboxError: then nothing was taken.
        """
        with transaction(self._db, "nonces"):
            row = self._db.execute("select at from latest where signer=?", (signer,)).fetchone()
            latest = signed if row is None else max(signed, row[0])
            if signed < latest - span_s:
                return "old"
            self._db.execute("delete from seen where signer=? and at<?", (signer, latest - KEEP_S))
            added = self._db.execute("insert or ignore into seen values(?,?,?)", (signer, nonce, signed))
            self._db.execute("insert or replace into latest values(?,?)", (signer, latest))
            return "new" if added.rowcount == 1 else "seen"
