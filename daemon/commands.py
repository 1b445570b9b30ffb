"""Commands from MQTT: decoded strictly, obeyed or refused in one line, always answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Protocol, TypeVar

import aiomqtt
import msgspec
import structlog
from msgspec import Struct

from daemon.config_errors import explain, one_line, shown
from daemon.errors import CommandError
from daemon.messages import Response
from daemon.post import Post
from daemon.record_commands import Ask, DraftNow, Sign
from pipeline.drafts.context import ContextError, PatientContext, cleaned, refuse_identity

log = structlog.get_logger("commands")

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

    def __init__(self, streams: Mapping[str, Commandable], post: Post) -> None:
        self.obeyed = 0
        self.refused = 0
        self._streams = streams
        self._post = post

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
        log.warning("command refused", stream=name, verb=verb, reason=str(why))
        self._post.response(Response(stream=name, verb=verb, ok=False, detail=str(why)), correlation)

    def _obey(
        self, address: tuple[str, str], message: aiomqtt.Message, correlation: bytes | None
    ) -> str | asyncio.Future[str]:
        name, verb = address
        if message.retain:
            # It would be obeyed again at every reconnection.
            raise CommandError("retained commands are not obeyed: publish without the retain flag")
        stream = self._streams.get(name)
        if stream is None:
            raise CommandError(f"no stream {shown(name)}; there are {', '.join(self._streams)}")
        match verb:
            case "calibrate":
                _decode(message.payload, Calibrate)
                return stream.calibrate()
            case "patient":
                return stream.patient(_decode(message.payload, Patient, MAX_PAGE_BYTES))
            case "draft":
                _decode(message.payload, DraftNow)
                return stream.draft()
            case "sign":
                return stream.sign(_decode(message.payload, Sign, MAX_PAGE_BYTES))
            case "ask":
                return stream.ask(_decode(message.payload, Ask), correlation)
            case _:
                raise CommandError(
                    f"no command {shown(verb)}; there are calibrate, patient, draft, sign, ask"
                )


def _decode(payload: bytes, kind: type[S], most: int = MAX_PAYLOAD_BYTES) -> S:
    if len(payload) > most:
        raise CommandError(f"{len(payload)} bytes are too many: at most {most}")
    try:
        raw = msgspec.json.decode(payload or b"{}")
        if issubclass(kind, PatientContext):
            refuse_identity(raw)
            raw = cleaned(raw)
        return msgspec.convert(raw, kind)
    except ContextError as why:
        raise CommandError(str(why)) from None
    except msgspec.ValidationError as why:
        raise CommandError(f"bad payload: {explain(why, raw, kind)}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as why:
        raise CommandError(f"payload is not JSON: {one_line(str(why))[:200]}") from None


def _safe(level: str) -> str:
    """A topic level that anybody may have chosen, fit for logs and answers."""
    return shown(level)[1:-1][:64]
