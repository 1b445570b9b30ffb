"""What every answer carries and every deed must bring: security headers, cookie, token, origin."""

from __future__ import annotations

import time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.config_errors import explain
from daemon.monitor.refusals import Refusals
from daemon.monitor.roles import Action, may
from daemon.monitor.sessions import Session, Sessions, genuine

MAX_BODY_BYTES = 65536

# Everything comes from here and nothing from anywhere else; no script or style stands in a page, and text
# becomes markup only through lit-html's templates.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types lit-html"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_YEAR_S = 31536000

S = TypeVar("S", bound=msgspec.Struct)


class RefusalError(Exception):
    """An answer that is a refusal. status: of HTTP. why: one line for whoever asked."""

    def __init__(self, status: int, why: str, retry_s: float = 0.0) -> None:
        super().__init__(why)
        self.status = status
        self.retry_s = retry_s


class Headers:
    """Puts the security headers on every answer. secure: reached over TLS."""

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if secure:
            self._headers["Strict-Transport-Security"] = f"max-age={_YEAR_S}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        fresh = "no-store" if scope["path"].startswith("/api/") else "no-cache"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers["Cache-Control"] = fresh
            await send(message)

        await self._app(scope, receive, with_headers)


class Gate:
    """Who is asking, and may they. secure: cookies travel over TLS only."""

    def __init__(self, sessions: Sessions, secure: bool, refusals: Refusals) -> None:
        self._sessions = sessions
        self._secure = secure
        self._refusals = refusals
        # The prefix ties the cookie to this very host and to TLS (RFC 6265bis, 4.1.3.2).
        self._cookie = "__Host-eeg-monitor" if secure else "eeg-monitor"

    def session(self, request: Request, *, deed: bool = True) -> Session:
        """Raises RefusalError (401)."""
        found = self._sessions.find(request.cookies.get(self._cookie, ""), time.monotonic(), deed=deed)
        if found is None:
            raise RefusalError(401, "log in first")
        return found

    def allowed(self, request: Request, action: Action) -> Session:
        """For whatever only reads. Raises RefusalError (401, 403)."""
        session = self.session(request)
        if not may(session.account.role, action):
            name = session.account.name
            self._refusals.enter(f"account {name}", name, "refused", action=action)
            raise RefusalError(403, f"a {session.account.role} may not do this: {action}")
        return session

    def deed(self, request: Request, action: Action) -> Session:
        """For whatever changes something. Raises RefusalError (401, 403)."""
        same_origin(request)
        session = self.allowed(request, action)
        self.genuine(request, session)
        return session

    def genuine(self, request: Request, session: Session) -> None:
        """Raises RefusalError where the page of this very session did not send it."""
        if not genuine(session, request.headers.get("x-csrf-token", "")):
            raise RefusalError(403, "the page is from an earlier login: load it again")

    def let_in(self, response: Response, value: str) -> None:
        response.set_cookie(
            self._cookie, value, path="/", secure=self._secure, httponly=True, samesite="strict"
        )

    def let_out(self, response: Response) -> None:
        response.delete_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="strict")


def same_origin(request: Request) -> None:
    """Raises RefusalError where another site's page sent it."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise RefusalError(403, "another site sent this")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RefusalError(403, "another site sent this")


async def body(request: Request, kind: type[S]) -> S:
    """Strictly decoded. Raises RefusalError (413, 415, 400)."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusalError(415, "send JSON")
    gathered = b""
    async for piece in request.stream():
        gathered += piece
        if len(gathered) > MAX_BODY_BYTES:
            raise RefusalError(413, f"at most {MAX_BODY_BYTES} bytes")
    try:
        raw: Any = msgspec.json.decode(gathered or b"{}")
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as why:
            raise RefusalError(400, explain(why, raw, kind)) from None
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or a number of thousands of digits
        raise RefusalError(400, "not JSON") from None


def told(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def refused(_request: Request, why: Exception) -> Response:
    """The handler of `RefusalError`."""
    assert isinstance(why, RefusalError)
    response = told({"ok": False, "detail": str(why)}, why.status)
    if why.retry_s:
        response.headers["Retry-After"] = str(round(why.retry_s + 0.5))
    return response
