"""One transaction of SQLite, its complaint as one line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.errors import OutboxError


@contextmanager
def transaction(db: sqlite3.Connection, what: str) -> Iterator[None]:
    """what: the file, in the user's words. Raises OutboxError."""
    try:
        with db:
            db.execute("begin")
            yield
    except sqlite3.Error as why:
        raise OutboxError(f"{what}: {why}: make room in the state directory") from None
