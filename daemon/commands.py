"""Commands from MQTT: decoded strictly, obeyed or refused in one line, always answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

import aiomqtt
import msgspec
import structlog
from msgspec import Struct

from daemon.config import Age, Gender, Pseudonym
from daemon.config_errors import explain, one_line, shown
from daemon.messages import Response
from daemon.post import Post

log = structlog.get_logger("commands")

MAX_PAYLOAD_BYTES = 4096
MAX_CORRELATION_BYTES = 256

S = TypeVar("S", bound=Struct)


class Calibrate(Struct, frozen=True, forbid_unknown_fields=True):
    """The person rests from now on."""


class Patient(Struct, frozen=True, forbid_unknown_fields=True):
    """Who wears the headset; age in years. Replaces all that was known before."""

    subject: Pseudonym
    age: Age | None = None
    gender: Gender | None = None


class Commandable(Protocol):
    """A stream, as seen by commands. Each verb returns in one line what it did."""

    def calibrate(self) -> str: ...

    def patient(self, patient: Patient) -> str: ...


class _CommandError(Exception):
    """One line: why a command is not obeyed."""


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
        correlation = getattr(message.properties, "CorrelationData", None)
        try:
            detail = self._obey(address, message)
        except _CommandError as why:
            self.refused += 1
            log.warning("command refused", stream=name, verb=verb, reason=str(why))
            answer = Response(stream=name, verb=verb, ok=False, detail=str(why))
        else:
            self.obeyed += 1
            log.info("command obeyed", stream=name, verb=verb, detail=detail)
            answer = Response(stream=name, verb=verb, ok=True, detail=detail)
        usable = isinstance(correlation, bytes) and len(correlation) <= MAX_CORRELATION_BYTES
        self._post.response(answer, correlation if usable else None)

    def _obey(self, address: tuple[str, str], message: aiomqtt.Message) -> str:
        name, verb = address
        if message.retain:
            # It would be obeyed again at every reconnection.
            raise _CommandError("retained commands are not obeyed: publish without the retain flag")
        stream = self._streams.get(name)
        if stream is None:
            raise _CommandError(f"no stream {shown(name)}; there are {', '.join(self._streams)}")
        match verb:
            case "calibrate":
                _decode(message.payload, Calibrate)
                return stream.calibrate()
            case "patient":
                return stream.patient(_decode(message.payload, Patient))
            case _:
                raise _CommandError(f"no command {shown(verb)}; there are calibrate, patient")


def _decode(payload: bytes, kind: type[S]) -> S:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _CommandError(f"{len(payload)} bytes are too many: at most {MAX_PAYLOAD_BYTES}")
    try:
        raw = msgspec.json.decode(payload or b"{}")
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as why:
        raise _CommandError(f"bad payload: {explain(why, raw, kind)}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as why:
        raise _CommandError(f"payload is not JSON: {one_line(str(why))[:200]}") from None


def _safe(level: str) -> str:
    """A topic level that anybody may have chosen, fit for logs and answers."""
    return shown(level)[1:-1][:64]
