"""Commands as anybody whom the broker lets may send them, to the very object that obeys them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemon.authority import Authority
from daemon.commands import Commands, Patient
from daemon.door import Door
from daemon.messages import NodeStatus, Response, encode, stamped
from daemon.nonces import Nonces
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.record_commands import Ask, Sign
from daemon.signed_command import seal
from daemon.signer_settings import CommandRules, Signer
from daemon.topics import Topics
from pipeline.keys import public_text

_TOPICS = Topics("lab", "n1")
_HASH = "0123456789abcdef" * 2
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

EXAMPLES: dict[str, dict[str, Any]] = {
    "calibrate": {},
    "patient": {"subject": "pseudo-7f3a", "age": 41, "gender": "female", "history": ["migraine"]},
    "draft": {},
    "sign": {
        "draft": _HASH,
        "version": 1,
        "sha256": 2 * _HASH,
        "signer": "dr-1",
        "decision": "amend",
        "sections": {"treatment_plan": "rest"},
    },
    "ask": {"question": "what helps against stress?"},
    "replay-outbox": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "topics": ["+/emotion"]},
}
MESSAGES = [
    msgspec.json.decode(encode(stamped(message, 1, 0.0)))
    for message in (NodeStatus(state="online"), Response(stream="bed", verb="ask", ok=True, detail="x"))
]


class RefusedError(Exception):
    """No verb obeyed it; the last answer. Commands themselves raise nothing: they answer."""


class _Post(Post):
    """Remembers the newest refusal."""

    answer_line = ""

    def response(self, message: Response, correlation: bytes | None) -> None:
        if not message.ok:
            self.answer_line = message.detail
        super().response(message, correlation)


class _Bed:
    """Does what it is told, at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def calibrate(self) -> str:
        return "done"

    def patient(self, patient: Patient) -> str:
        return f"new subject {patient.subject}"

    def draft(self) -> asyncio.Future[str]:
        return self._done("drafted")

    def sign(self, command: Sign) -> asyncio.Future[str]:
        return self._done(f"signed {command.draft}")

    def ask(self, command: Ask, correlation: bytes | None) -> asyncio.Future[str]:
        return self._done(command.question)

    def _done(self, said: str) -> asyncio.Future[str]:
        future: asyncio.Future[str] = self._loop.create_future()
        future.set_result(said)
        return future


def parser(folder: Path) -> AbstractContextManager[Callable[[bytes], object]]:
    return _parser(folder, Door())


@contextmanager
def signed_parser(folder: Path) -> Iterator[Callable[[bytes], object]]:
    """To a node that obeys its own signers alone."""
    signers = [Signer(id="dr-1", public_key=public_text(_KEY))]
    with Nonces(folder) as nonces, _parser(folder, Door(Authority(signers, CommandRules(), nonces))) as parse:
        yield parse


def sealed(command: bytes = b"{}") -> bytes:
    """A valid envelope around whatever is in it."""
    text = command.decode("utf-8", "replace")
    return seal(_TOPICS.command("bed", "calibrate"), text, "dr-1", _KEY, time.time())


@contextmanager
def _parser(folder: Path, door: Door) -> Iterator[Callable[[bytes], object]]:
    """Gives each input to every verb: whatever it is, it is counted once and raises nothing."""
    loop = asyncio.new_event_loop()
    with closing(loop), Outbox(folder) as outbox:
        post = _Post(outbox, _TOPICS, 60.0)
        commands = Commands({"bed": _Bed(loop)}, post, door)

        def parse(raw: bytes) -> None:
            obeyed = commands.obeyed
            for verb in EXAMPLES:
                before = commands.obeyed + commands.refused
                topic = aiomqtt.Topic(_TOPICS.command("bed", verb))
                commands.handle(aiomqtt.Message(topic, raw, 1, False, 1, None))
                loop.run_until_complete(asyncio.sleep(0))
                assert commands.obeyed + commands.refused == before + 1, verb
            if commands.obeyed == obeyed:
                raise RefusedError(post.answer_line)

        # Each refusal is a line of the log, and they come by the thousand.
        with structlog.testing.capture_logs():
            yield parse
