"""Commands from MQTT: decoded strictly, obeyed or refused in one line, always answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import aiomqtt
import msgspec
import structlog
from msgspec import Struct

from daemon.authority import Admitted, StrangerError
from daemon.config_errors import explain, shown
from daemon.door import Door
from daemon.errors import CommandError
from daemon.identities import Identities
from daemon.messages import Response
from daemon.outbox_replay import ReplayOutbox, replay
from daemon.post import Post
from daemon.record_commands import Ask, DraftNow, Sign
from daemon.topics import REPLAY
from pipeline.drafts.context import PatientContext, cleaned
from pipeline.drafts.identity import ContextError, refuse_identity, take_identity
from pipeline.json_input import decode_json

log = structlog.get_logger("commands")

# Nothing is said but that it shall happen.
MAX_EMPTY_BYTES = 256
MAX_PAYLOAD_BYTES = 4096
# A patient's context or a section's new text is a page; the connection itself takes 16 KiB.
MAX_PAGE_BYTES = 12288
MAX_CORRELATION_BYTES = 256

S = TypeVar("S", bound=Struct)


class Calibrate(Struct, frozen=True, forbid_unknown_fields=True):
    """The person rests from now on."""


# Who wears the headset and what is known about them. Replaces all that was known before.
Patient = PatientContext


class Commandable(Protocol):
    """A stream, as seen by commands. Each verb returns in one line what it did, at once or later.

    All may raise CommandError.
    """

    def calibrate(self) -> str: ...

    def patient(self, patient: Patient) -> str: ...

    def draft(self) -> asyncio.Future[str]: ...

    def sign(self, command: Sign) -> asyncio.Future[str]: ...

    def ask(self, command: Ask, correlation: bytes | None) -> asyncio.Future[str]: ...


class Commands:
    """The one place where MQTT becomes plain calls."""

    def __init__(
        self,
        streams: Mapping[str, Commandable],
        post: Post,
        door: Door | None = None,
        identities: Identities | None = None,
    ) -> None:
        """door: None lets everybody in whom the broker lets publish. identities: None refuses them."""
        self.obeyed = 0
        self.refused = 0
        self._streams = streams
        self._post = post
        self._door = door or Door()
        self._identities = identities

    @property
    def unanswered(self) -> int:
        """Refused without an answer, as there were too many."""
        return self._door.unanswered

    def handle(self, message: aiomqtt.Message) -> None:
        """Takes any message whatever; raises nothing on account of what is in it."""
        address = self._post.topics.parse_command(message.topic.value)
        if address is None:
            return
        name, verb = (_safe(level) for level in address)
        given = getattr(message.properties, "CorrelationData", None)
        usable = isinstance(given, bytes) and len(given) <= MAX_CORRELATION_BYTES
        correlation = given if usable else None
        try:
            done = self._obey(address, message, correlation)
        except CommandError as why:
            self._refuse(name, verb, correlation, why)
        else:
            if isinstance(done, str):
                self._accept(name, verb, correlation, done)
            else:
                done.add_done_callback(partial(self._later, name, verb, correlation))

    def _later(self, name: str, verb: str, correlation: bytes | None, done: asyncio.Future[str]) -> None:
        if done.cancelled():
            return
        why = done.exception()
        if isinstance(why, CommandError):
            self._refuse(name, verb, correlation, why)
        elif why is None:
            self._accept(name, verb, correlation, done.result())
        else:
            raise why

    def _accept(self, name: str, verb: str, correlation: bytes | None, detail: str) -> None:
        self.obeyed += 1
        log.info("command obeyed", stream=name, verb=verb, detail=detail)
        self._post.response(Response(stream=name, verb=verb, ok=True, detail=detail), correlation)

    def _refuse(self, name: str, verb: str, correlation: bytes | None, why: CommandError) -> None:
        self.refused += 1
        if not self._door.refused(name, verb, why):
            return
        log.warning("command refused", stream=name, verb=verb, reason=str(why))
        self._post.response(Response(stream=name, verb=verb, ok=False, detail=str(why)), correlation)

    def _obey(
        self, address: tuple[str, str], message: aiomqtt.Message, correlation: bytes | None
    ) -> str | asyncio.Future[str]:
        name, verb = address
        admitted = self._door.admit(message.topic.value, verb, message.payload, retained=bool(message.retain))
        given, allowed = admitted.command, partial(self._door.count, admitted, name, verb)
        if verb == REPLAY and (not name or name in self._streams):
            period = _decode(given, ReplayOutbox)
            allowed()
            return replay(period, self._post, name)
        stream = self._streams.get(name)
        if stream is None:
            raise CommandError(f"no stream {shown(name)}; there are {', '.join(self._streams)}")
        match verb:
            case "calibrate":
                _decode(given, Calibrate, MAX_EMPTY_BYTES)
                allowed()
                return stream.calibrate()
            case "patient":
                about, identity = self._patient(given)
                allowed()
                if identity and self._identities is not None:
                    self._identities.keep(about.subject, identity)
                return stream.patient(about)
            case "draft":
                _decode(given, DraftNow, MAX_EMPTY_BYTES)
                allowed()
                return stream.draft()
            case "sign":
                signature = _decode(given, Sign, MAX_PAGE_BYTES)
                _own(signature, admitted)
                allowed()
                return stream.sign(signature)
            case "ask":
                question = _decode(given, Ask)
                allowed()
                return stream.ask(question, correlation)
            case _:
                raise CommandError(
                    f"no command {shown(verb)}; there are calibrate, patient, draft, sign, ask, {REPLAY}"
                )

    def _patient(self, payload: bytes) -> tuple[Patient, dict[str, str]]:
        """The context, and what of it names the person, where that may be kept."""
        raw = cleaned(_read(payload, MAX_PAGE_BYTES))
        identity: dict[str, str] = {}
        if self._identities is not None:
            raw, identity = take_identity(raw)
        return _convert(raw, Patient), identity


def _own(signature: Sign, admitted: Admitted) -> None:
    """Raises StrangerError where somebody would sign with another's name."""
    sender = admitted.signer
    if sender is not None and sender.id != signature.signer:
        raise StrangerError(f"sent by {sender.id!r}, who cannot sign as {signature.signer!r}", sender.id)


def _decode(payload: bytes, kind: type[S], most: int = MAX_PAYLOAD_BYTES) -> S:
    return _convert(_read(payload, most), kind)


def _read(payload: bytes, most: int) -> Any:
    if len(payload) > most:
        raise CommandError(f"{len(payload)} bytes are too many: at most {most}")
    try:
        return decode_json(payload or b"{}")
    except ValueError as why:
        raise CommandError(f"payload is not JSON: {why}") from None


def _convert(raw: Any, kind: type[S]) -> S:
    """What may be about a person is not repeated: answers are read by whoever may read answers."""
    try:
        refuse_identity(raw, kind.__struct_encode_fields__)
        return msgspec.convert(raw, kind)
    except ContextError as why:
        raise CommandError(str(why)) from None
    except msgspec.ValidationError as why:
        raise CommandError(f"bad payload: {explain(why, raw, kind, repeat=False)}") from None


def _safe(level: str) -> str:
    """A topic level that anybody may have chosen, fit for logs and answers."""
    return shown(level)[1:-1][:64]
