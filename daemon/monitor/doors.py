"""Logging in and out, and the accounts behind it."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.errors import CommandError
from daemon.monitor.accounts import Account, matches
from daemon.monitor.guard import Gate, RefusalError, body, same_origin, told
from daemon.monitor.roles import MAY, ROLES
from daemon.monitor.sessions import Session, Sessions
from daemon.monitor.store import Store
from daemon.monitor.throttle import Throttle

# One Argon2 takes 64 MiB and 50 ms of a core: at most so many at a time, whoever knocks.
_HASHES_AT_ONCE = 2

Text = Annotated[str, Meta(max_length=200)]


class Login(Struct, forbid_unknown_fields=True):
    name: Text
    password: Text


class Link(Struct, forbid_unknown_fields=True):
    token: Text


class Put(Struct, forbid_unknown_fields=True):
    name: Text
    role: Text
    password: Text
    signer: Text = ""


class Disable(Struct, forbid_unknown_fields=True):
    name: Text
    disabled: bool


class Nothing(Struct, forbid_unknown_fields=True):
    pass


class Doors:
    def __init__(self, store: Store, sessions: Sessions, gate: Gate) -> None:
        self._store = store
        self._sessions = sessions
        self._gate = gate
        self._throttle = Throttle()
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    def routes(self) -> list[Route]:
        return [
            Route("/api/session", self.session, methods=["GET"]),
            Route("/api/login", self.login, methods=["POST"]),
            Route("/api/link", self.link, methods=["POST"]),
            Route("/api/logout", self.logout, methods=["POST"]),
            Route("/api/users", self.users, methods=["GET"]),
            Route("/api/users", self.put, methods=["POST"]),
            Route("/api/users/disable", self.disable, methods=["POST"]),
            Route("/api/audit", self.audit, methods=["GET"]),
        ]

    async def session(self, request: Request) -> Response:
        """Who the browser is, to this server; nobody is an answer too."""
        try:
            return told({"session": _about(self._gate.session(request))})
        except RefusalError:
            return told({"session": None})

    async def login(self, request: Request) -> Response:
        same_origin(request)
        given = await body(request, Login)
        # Before the password is compared: a session of an account that is changed meanwhile is over at once.
        account = self._store.accounts.get(given.name)
        await self.prove(request, given.name, given.password, "login")
        assert account is not None
        return self._enter(request, account, "login")

    async def link(self, request: Request) -> Response:
        """A one-time address, as the demo prints it."""
        same_origin(request)
        given = await body(request, Link)
        now = time.monotonic()
        # Nobody guesses a token; but each one costs an entry, and would for ever.
        keys = f"link from {_address(request)}", f"address {_address(request)}"
        self._heard_now(keys, now)
        name = self._sessions.redeem(given.token, now)
        account = None if name is None else self._store.accounts.get(name)
        if account is None or account.disabled:
            self._throttle.failed(*keys, now)
            self._refused("", "login", request, "one-time address")
            raise RefusalError(401, "this address was used already, or is too old: log in")
        return self._enter(request, account, "login by one-time address")

    async def logout(self, request: Request) -> Response:
        session = self._gate.deed(request, "look")
        self._sessions.end(session)
        self._store.note(session.account.name, "logout", address=_address(request))
        response = told({"ok": True})
        self._gate.let_out(response)
        return response

    async def users(self, request: Request) -> Response:
        self._gate.allowed(request, "users")
        return told({"users": self._store.accounts.all(), "roles": ROLES})

    async def put(self, request: Request) -> Response:
        session = self._gate.deed(request, "users")
        given = await body(request, Put)
        if given.name == session.account.name:
            raise RefusalError(403, "nobody changes their own account: another administrator does")
        try:
            account = self._store.deed(
                lambda: self._store.accounts.put(given.name, given.role, given.signer, given.password),
                session.account.name,
                "account put",
                account=given.name,
                role=given.role,
                signer=given.signer,
            )
        except CommandError as why:
            raise RefusalError(400, str(why)) from None
        return told({"ok": True, "user": account})

    async def disable(self, request: Request) -> Response:
        session = self._gate.deed(request, "users")
        given = await body(request, Disable)
        if given.name == session.account.name:
            raise RefusalError(403, "nobody changes their own account: another administrator does")
        try:
            self._store.deed(
                lambda: self._store.accounts.disable(given.name, given.disabled),
                session.account.name,
                "account disabled" if given.disabled else "account enabled",
                account=given.name,
            )
        except CommandError as why:
            raise RefusalError(404, str(why)) from None
        return told({"ok": True})

    async def audit(self, request: Request) -> Response:
        self._gate.allowed(request, "audit")
        return told({"entries": self._store.trail()})

    async def prove(self, request: Request, name: str, password: str, what: str) -> None:
        """That it is this person. Raises RefusalError (401, 429)."""
        keys = f"account {name}", f"address {_address(request)}"
        now = time.monotonic()
        self._heard_now(keys, now)
        # Counted before it is known: many at once must not slip through together.
        self._throttle.failed(*keys, now)
        async with self._hashing:
            right = await asyncio.to_thread(matches, self._store.accounts.hash_of(name), password)
        if not right:
            # Of a name that nobody has, nothing is kept: it may be a password in the wrong field.
            known = self._store.accounts.get(name) is not None
            self._refused(name if known else "", what, request, "name or password")
            raise RefusalError(401, "name or password is wrong")
        self._throttle.succeeded(*keys, now)

    def _heard_now(self, keys: tuple[str, str], now: float) -> None:
        """Raises RefusalError (429) where there were too many failures."""
        wait = self._throttle.wait_s(*keys, now)
        if wait > 0:
            raise RefusalError(429, f"too many attempts: try again in {wait:.0f} s", retry_s=wait)

    def _refused(self, name: str, what: str, request: Request, why: str) -> None:
        # Whoever signs has logged in; at the door stand strangers, who must not crowd that out of the trail.
        source = "door" if what == "login" else f"account {name}"
        self._store.refusals.enter(source, name, f"{what} refused", address=_address(request), why=why)

    def _enter(self, request: Request, account: Account, how: str) -> Response:
        value, session = self._sessions.begin(account, time.monotonic())
        self._store.note(account.name, how, address=_address(request), role=account.role)
        response = told(_about(session))
        self._gate.let_in(response, value)
        return response


def _about(session: Session) -> dict[str, object]:
    account = session.account
    return {
        "name": account.name,
        "role": account.role,
        "signer": account.signer,
        "csrf": session.csrf,
        "may": sorted(MAY[account.role]),
    }


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host
