"""Accounts: a name, a role, for clinicians the signer they are, and a password's Argon2 hash."""

from __future__ import annotations

import re
import sqlite3
import time
from typing import cast

import argon2
from msgspec import Struct

from daemon.errors import CommandError
from daemon.monitor.roles import ROLES, Role

TABLE = """
create table if not exists account(
    name text primary key, role text not null, signer text not null, hash text not null,
    disabled integer not null default 0, changed real not null);
"""
# NIST SP 800-63B, 3.1.1.2: length is what counts; no rules about kinds of characters.
LEAST_LENGTH = 12
MOST_LENGTH = 200
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SIGNER = re.compile(r"[A-Za-z0-9_-]{0,64}")

# RFC 9106's second recommendation: 64 MiB, three passes, four lanes.
_HASHER = argon2.PasswordHasher()


class Account(Struct, frozen=True):
    """signer: the id under which this person's signatures stand in records; empty for none.

    changed: UTC seconds, when anything of it was, the password too.
    """

    name: str
    role: Role
    signer: str
    disabled: bool
    changed: float


class Accounts:
    """Hashing takes some 50 ms: `matches` is for a thread, the rest for the owner of the connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._nobody = _HASHER.hash("nobody has this password")

    def all(self) -> list[Account]:
        return [
            _account(row)
            for row in self._db.execute("select name,role,signer,disabled,changed from account order by name")
        ]

    def get(self, name: str) -> Account | None:
        row = self._db.execute(
            "select name,role,signer,disabled,changed from account where name=?", (name,)
        ).fetchone()
        return None if row is None else _account(row)

    def hash_of(self, name: str) -> str:
        """Of somebody unknown, a hash that nothing matches: it takes as long to find out."""
        row = self._db.execute("select hash from account where name=? and not disabled", (name,)).fetchone()
        return self._nobody if row is None else str(row[0])

    def put(self, name: str, role: str, signer: str, password: str) -> Account:
        """Adds an account, or changes one wholly. Raises CommandError. To be called in a transaction."""
        if not _NAME.fullmatch(name):
            raise CommandError("a name is small letters, digits, '.', '-' and '_', at most 64")
        if role not in ROLES:
            raise CommandError(f"role must be one of {', '.join(ROLES)}")
        if not _SIGNER.fullmatch(signer):
            raise CommandError("a signer's id is letters, digits, '-' and '_', as in [[signer]] of the node")
        if signer and role != "clinician":
            raise CommandError("only a clinician signs: leave the signer out")
        taken = self._db.execute(
            "select name from account where signer=? and signer<>'' and name<>?", (signer, name)
        ).fetchone()
        if taken is not None:
            raise CommandError(f"signer {signer} is tied to {taken[0]}: one login a signer")
        self._db.execute(
            "insert into account(name,role,signer,hash,changed) values(?,?,?,?,?) on conflict(name) do update"
            " set role=excluded.role, signer=excluded.signer, hash=excluded.hash, changed=excluded.changed,"
            " disabled=0",
            (name, role, signer, hashed(password), now := time.time()),
        )
        return Account(name, role, signer, disabled=False, changed=now)

    def set_password(self, name: str, password: str) -> None:
        """Raises CommandError. To be called in a transaction."""
        self._changed(
            self._db.execute(
                "update account set hash=?, changed=? where name=?", (hashed(password), time.time(), name)
            ),
            name,
        )

    def disable(self, name: str, disabled: bool) -> None:
        """Accounts are never removed: the trail speaks of them. Raises CommandError."""
        self._changed(
            self._db.execute(
                "update account set disabled=?, changed=? where name=?", (disabled, time.time(), name)
            ),
            name,
        )

    def _changed(self, cursor: sqlite3.Cursor, name: str) -> None:
        if cursor.rowcount == 0:
            raise CommandError(f"no account {name[:64]!r}")


def hashed(password: str) -> str:
    """Raises CommandError for one that is too short."""
    if not LEAST_LENGTH <= len(password) <= MOST_LENGTH:
        raise CommandError(f"a password has {LEAST_LENGTH} to {MOST_LENGTH} characters")
    return _HASHER.hash(password)


def matches(hash_: str, password: str) -> bool:
    try:
        return _HASHER.verify(hash_, password[: MOST_LENGTH + 1])
    except argon2.exceptions.VerificationError:
        return False


def _account(row: tuple[str, str, str, int, float]) -> Account:
    return Account(row[0], cast(Role, row[1]), row[2], bool(row[3]), row[4])
