"""Records for reading: lists, texts, PDF and FHIR; and the live events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from daemon.errors import CommandError
from daemon.monitor.guard import Gate, RefusalError, told
from daemon.monitor.hub import Hub
from daemon.monitor.sessions import Session, Sessions
from daemon.monitor.store import Heard, Store
from daemon.record_messages import Version

# Each is sent every change; more than these is no ward but a flood.
MOST_SCREENS = 200


class Shelf:
    def __init__(self, store: Store, hub: Hub, sessions: Sessions, gate: Gate) -> None:
        self._store = store
        self._hub = hub
        self._sessions = sessions
        self._gate = gate

    def routes(self) -> list[Route]:
        record = "/api/records/{id}/{version}"
        return [
            Route("/api/events", self.events, methods=["GET"]),
            Route("/api/beds/{site}/{node}/{stream}/records", self.records, methods=["GET"]),
            Route(f"{record}/record.json", self.record, methods=["GET"]),
            Route(f"{record}/record.pdf", self.pdf, methods=["GET"]),
            Route(f"{record}/record.fhir.json", self.fhir, methods=["GET"]),
        ]

    async def events(self, request: Request) -> Response:
        """text/event-stream: `whole`, then `change` after `change`; ends with the session."""
        session = self._gate.session(request, deed=False)
        if self._hub.screens >= MOST_SCREENS:
            raise RefusalError(503, f"{MOST_SCREENS} pages are open already: close some")
        bed = request.query_params.get("bed", "")

        async def stream() -> AsyncIterator[bytes]:
            with self._hub.screen(bed) as screen:
                yield b"retry: 1000\n\n"
                async for event in self._hub.events(screen):
                    if not self._sessions.lives(session, time.monotonic()):
                        yield b"event: over\ndata: {}\n\n"
                        return
                    yield event

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def records(self, request: Request) -> Response:
        self._gate.allowed(request, "records")
        where = request.path_params
        return told({"records": self._store.records(f"{where['site']}/{where['node']}/{where['stream']}")})

    async def record(self, request: Request) -> Response:
        _, heard, payload = self._open(request, "read")
        return Response(
            b'{"heard":' + told(heard).body + b',"record":' + payload + b"}", media_type="application/json"
        )

    async def fhir(self, request: Request) -> Response:
        _, heard, _ = self._open(request, "FHIR")
        return _file(heard, self._store.fhir(heard), "fhir.json", "application/fhir+json")

    async def pdf(self, request: Request) -> Response:
        # PDF's library takes a second to load, which the first reader pays and nobody else.
        from pipeline.drafts.pdf import pdf

        _, heard, _ = self._open(request, "PDF")
        made = await asyncio.to_thread(pdf, self._store.draft(heard))
        return _file(heard, made, "pdf", "application/pdf")

    def _open(self, request: Request, how: str) -> tuple[Session, Heard, bytes]:
        """Raises RefusalError (404, 409). Whoever opens a record is written down."""
        session = self._gate.allowed(request, "records")
        try:
            version = msgspec.convert(request.path_params["version"], Version, strict=False)
            heard = self._store.find(request.path_params["id"], version)
        except msgspec.ValidationError:
            heard = None
        if heard is None:
            raise RefusalError(404, "no such version of a record was heard")
        try:
            payload = self._store.payload(heard)
        except CommandError as why:
            raise RefusalError(409, str(why)) from None
        self._store.note(
            session.account.name, "record opened", how=how, record=heard.id, of_version=heard.version
        )
        return session, heard, payload


def _file(heard: Heard, content: bytes, ending: str, kind: str) -> Response:
    name = f"{heard.subject}-{heard.id[:8]}-v{heard.version}.{ending}"
    return Response(
        content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
