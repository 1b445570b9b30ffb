"""Which signed commands were obeyed already: remembered across restarts, so that none is obeyed twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from daemon.errors import OutboxError
from daemon.transaction import transaction

FILE = "nonces.sqlite"
# Far longer than any command is good for: the clock may be set back meanwhile.
KEEP_S = 86400.0

_TABLE = (
    "create table if not exists seen(signer text not null, nonce text not null, at real not null,"
    " primary key(signer, nonce)) without rowid"
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
            self._db.execute(_TABLE)
        except sqlite3.Error as why:
            raise OutboxError(f"{file}: {why}: move the file away to begin a new one") from None

    def __enter__(self) -> Nonces:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def take(self, signer: str, nonce: str, now: float) -> bool:
        """False where the signer has used it before. now: UTC seconds. Raises OutboxError."""
        with transaction(self._db, "nonces"):
            self._db.execute("delete from seen where at<?", (now - KEEP_S,))
            added = self._db.execute("insert or ignore into seen values(?,?,?)", (signer, nonce, now))
            return added.rowcount == 1
