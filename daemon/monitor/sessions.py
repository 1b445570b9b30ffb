"""Who is logged in. Kept in memory: a restart logs everybody out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from daemon.monitor.accounts import Account

# A one-time address is printed to be opened now.
LINK_S = 3600.0
_MOST = 2000


@dataclass
class Session:
    """account: as it was at login. token: of the cookie, as its hash. csrf: what each deed has to carry
    besides the cookie.

    begun, seen: monotonic seconds; `seen` counts deeds, not the page's own listening.
    """

    account: Account
    token: str
    csrf: str
    begun: float
    seen: float


class Sessions:
    """idle_s, longest_s: see `Web`. account: as it is now, by its name. Times are monotonic seconds."""

    def __init__(self, idle_s: float, longest_s: float, account: Callable[[str], Account | None]) -> None:
        self._account = account
        self._idle_s = idle_s
        self._longest_s = longest_s
        self._sessions: dict[str, Session] = {}
        self._links: dict[str, tuple[str, float]] = {}

    def begin(self, account: Account, now: float) -> tuple[str, Session]:
        """The cookie's value, and the session. The value itself is not kept."""
        for old in [token for token, one in self._sessions.items() if not self._in_time(one, now)]:
            del self._sessions[old]
        while len(self._sessions) >= _MOST:
            del self._sessions[min(self._sessions, key=lambda token: self._sessions[token].seen)]
        value = secrets.token_urlsafe(32)
        session = Session(account, _digest(value), secrets.token_urlsafe(32), now, now)
        self._sessions[session.token] = session
        return value, session

    def find(self, value: str, now: float, *, deed: bool) -> Session | None:
        """deed: whether this shows that somebody is there."""
        session = self._sessions.get(_digest(value))
        if session is None or not self.lives(session, now):
            return None
        if deed:
            session.seen = now
        return session

    def lives(self, session: Session, now: float) -> bool:
        """False too where its account was changed since: here, or by the command line."""
        return (
            self._sessions.get(session.token) is session
            and self._in_time(session, now)
            and self._account(session.account.name) == session.account
        )

    def end(self, session: Session) -> None:
        self._sessions.pop(session.token, None)

    def link(self, name: str, now: float) -> str:
        """A token that logs `name` in, once."""
        token = secrets.token_urlsafe(24)
        self._links[_digest(token)] = (name, now + LINK_S)
        return token

    def redeem(self, token: str, now: float) -> str | None:
        """The name, the first time."""
        name, until = self._links.pop(_digest(token), ("", 0.0))
        return name if now < until else None

    def _in_time(self, session: Session, now: float) -> bool:
        # A screen on the wall only looks, and nobody touches it for hours.
        idle = self._longest_s if session.account.role == "viewer" else self._idle_s
        return now - session.begun < self._longest_s and now - session.seen < idle


def genuine(session: Session, csrf: str) -> bool:
    return hmac.compare_digest(session.csrf.encode(), csrf.encode())


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
