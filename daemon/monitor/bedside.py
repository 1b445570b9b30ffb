"""What is done at a bed: commands to its node, each by a name that logged in, each entered into the trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from daemon.errors import CommandError
from daemon.messages import Response as NodeResponse
from daemon.monitor.bed import Bed
from daemon.monitor.doors import Doors, Nothing
from daemon.monitor.guard import Gate, RefusalError, body, told
from daemon.monitor.listener import Listener
from daemon.monitor.roles import Action
from daemon.monitor.sealing import Sealer
from daemon.monitor.sessions import Session
from daemon.monitor.store import Heard, Store
from daemon.monitor.ward import Ward
from daemon.pseudonym import Pseudonym
from daemon.record_messages import Id, Version
from daemon.topics import Topics
from pipeline.drafts.context import cleaned
from pipeline.drafts.identity import ContextError, refuse_identity

_BED = "/api/beds/{site}/{node}/{stream}"


class Patient(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """As the node takes it; of the rest the node decides what is refused."""

    subject: Pseudonym
    age: int | UnsetType = UNSET
    gender: str | UnsetType = UNSET
    complaint: str | UnsetType = UNSET
    history: list[str] | UnsetType = UNSET
    medication: list[dict[str, str]] | UnsetType = UNSET
    allergies: list[str] | UnsetType = UNSET
    examination: list[str] | UnsetType = UNSET
    laboratory: list[dict[str, str]] | UnsetType = UNSET
    expenses: list[dict[str, str | float]] | UnsetType = UNSET


class Decision(Struct, forbid_unknown_fields=True):
    """password: once more, so that a screen left alone signs nothing. sha256: of what was read."""

    draft: Id
    version: Version
    sha256: Annotated[str, Meta(max_length=64)]
    decision: Literal["accept", "amend", "reject"]
    password: Annotated[str, Meta(max_length=200)]
    comment: Annotated[str, Meta(max_length=1000)] = ""
    sections: dict[str, Annotated[str, Meta(max_length=8000)]] = {}


class Question(Struct, forbid_unknown_fields=True):
    question: Annotated[str, Meta(min_length=1, max_length=500)]


class Bedside:
    def __init__(
        self, ward: Ward, listener: Listener, sealer: Sealer, store: Store, gate: Gate, doors: Doors
    ) -> None:
        self._ward = ward
        self._listener = listener
        self._sealer = sealer
        self._store = store
        self._gate = gate
        self._doors = doors

    def routes(self) -> list[Route]:
        return [
            Route(f"{_BED}/calibrate", self.calibrate, methods=["POST"]),
            Route(f"{_BED}/patient", self.patient, methods=["POST"]),
            Route(f"{_BED}/draft", self.draft, methods=["POST"]),
            Route(f"{_BED}/sign", self.sign, methods=["POST"]),
            Route(f"{_BED}/ask", self.ask, methods=["POST"]),
        ]

    async def calibrate(self, request: Request) -> Response:
        session = self._gate.deed(request, "calibrate")
        await body(request, Nothing)
        return await self._command(session, self._bed(request), "calibrate", {})

    async def patient(self, request: Request) -> Response:
        session = self._gate.deed(request, "patient")
        given = await body(request, Patient)
        return await self._command(session, self._bed(request), "patient", given, subject=given.subject)

    async def draft(self, request: Request) -> Response:
        session = self._gate.deed(request, "draft")
        await body(request, Nothing)
        return await self._command(session, self._bed(request), "draft", {})

    async def sign(self, request: Request) -> Response:
        session = self._gate.deed(request, "sign")
        given = await body(request, Decision)
        bed = self._bed(request)
        account = session.account
        heard = self._store.find(given.draft, given.version)
        # Only what this monitor holds, and has shown, is signed; and only by whom the login says.
        self._signable(session, bed, heard, given)
        await self._doors.prove(request, account.name, given.password, "signature")
        command: dict[str, Any] = {
            "draft": given.draft,
            "version": given.version,
            "sha256": given.sha256,
            "signer": account.signer,
            "decision": given.decision,
            "comment": given.comment,
        }
        if given.sections:
            command["sections"] = given.sections
        return await self._command(
            session,
            bed,
            "sign",
            command,
            given.password,
            record=given.draft,
            of_version=given.version,
            of_sha256=given.sha256,
            decision=given.decision,
            signer=account.signer,
        )

    async def ask(self, request: Request) -> Response:
        """Streams the answer: one JSON value a line, pieces first, the node's word last."""
        session = self._gate.deed(request, "ask")
        given = await body(request, Question)
        bed = self._bed(request)
        self._refuse_identity(session, bed, "ask", given)

        async def lines() -> AsyncIterator[bytes]:
            last: Any = {"ok": False, "detail": "no answer"}
            try:
                topic = _topic(bed, "ask")
                payload = self._sealer.payload(topic, msgspec.json.encode(given))
                async for piece in self._listener.ask(topic, payload):
                    if isinstance(piece, NodeResponse):
                        last = {"ok": piece.ok, "detail": piece.detail}
                    else:
                        yield msgspec.json.encode(piece) + b"\n"
            except CommandError as why:
                last = {"ok": False, "detail": str(why)}
            # The trail is for good, and a question may hold more than whoever asked noticed.
            length = len(given.question)
            self._store.note(session.account.name, "ask", bed=bed.key, characters=length, **last)
            yield msgspec.json.encode(last) + b"\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    def _signable(self, session: Session, bed: Bed, heard: Heard | None, given: Decision) -> None:
        """Raises RefusalError."""
        why = ""
        if not session.account.signer:
            why = "this login is tied to no signer: an administrator names the id that the node knows"
        elif heard is None or heard.bed != bed.key:
            why = "no such version of a record was heard from this bed"
        elif not heard.whole:
            why = "the node sends only the names of its records: what cannot be read here is not signed here"
        elif heard.sha256 != given.sha256:
            why = "the hash is not that of the version that is kept here: read it again"
        if why:
            name = session.account.name
            self._store.refusals.enter(
                f"account {name}", name, "signature refused", bed=bed.key, record=given.draft, why=why
            )
            raise RefusalError(409, why)

    async def _command(
        self,
        session: Session,
        bed: Bed,
        verb: Action,
        payload: object,
        password: str | None = None,
        **detail: object,
    ) -> Response:
        self._refuse_identity(session, bed, verb, payload)
        topic = _topic(bed, verb)
        try:
            # A signature under a record is this person's own; their password opens their key.
            signer = session.account.signer if verb == "sign" else ""
            sealed = self._sealer.payload(topic, msgspec.json.encode(payload), signer, password)
            answer = await self._listener.command(topic, sealed)
            ok, said = answer.ok, answer.detail
        except CommandError as why:
            ok, said = False, str(why)
        self._store.note(session.account.name, verb, bed=bed.key, ok=ok, said=said, **detail)
        return told({"ok": ok, "detail": said}, 200 if ok else 409)

    def _refuse_identity(self, session: Session, bed: Bed, verb: Action, payload: object) -> None:
        """The node's own check: it would refuse a name too, but only after it has passed the broker.

        Raises RefusalError (409).
        """
        raw = msgspec.to_builtins(payload)
        try:
            # Of a context alone the node joins the lines: in a record's sections they say different things.
            refuse_identity(cleaned(raw) if verb == "patient" else raw, known=raw)  # keys of our own
        except ContextError as why:
            name = session.account.name
            self._store.refusals.enter(
                f"account {name}", name, f"{verb} refused", bed=bed.key, why="identity"
            )
            raise RefusalError(409, str(why)) from None

    def _bed(self, request: Request) -> Bed:
        """Raises RefusalError (404)."""
        where = request.path_params
        found = self._ward.beds.get(f"{where['site']}/{where['node']}/{where['stream']}")
        if found is None:
            raise RefusalError(404, "no such bed")
        return found


def _topic(bed: Bed, verb: str) -> str:
    return Topics(bed.site, bed.node).command(bed.stream, verb)
