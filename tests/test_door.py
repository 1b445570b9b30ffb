"""What comes to a node that obeys its own signers alone: strangers are bounded and entered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
from pathlib import Path

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from publishing import Bed
from small_disk import fill, small_disk

from daemon.archive import FILE, Archive
from daemon.authority import Authority
from daemon.commands import Commands
from daemon.door import Door
from daemon.messages import Response
from daemon.nonces import Nonces
from daemon.outbox import Outbox
from daemon.post import Post
from daemon.signed_command import seal
from daemon.signer_settings import CommandRules, Signer
from daemon.topics import Topics
from daemon.trail import Trail
from pipeline.keys import public_text

TOPICS = Topics("lab", "n1")
CALIBRATE = TOPICS.command("bed", "calibrate")


class Answers(Post):
    """Remembers what is answered, and publishes it."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(outbox, TOPICS, 60.0)
        self.told: list[Response] = []

    def response(self, message: Response, correlation: bytes | None) -> None:
        self.told.append(message)
        super().response(message, correlation)


class Guarded:
    """A node's commands behind its own list of signers; all that is remembered lies in `folder`."""

    def __init__(self, folder: Path, nonces: Path) -> None:
        self.bed = Bed()
        self._key = Ed25519PrivateKey.generate()
        self._folder = folder
        self._nonces = nonces

    def __enter__(self) -> Guarded:
        signers = [Signer(id="dr-1", public_key=public_text(self._key))]
        with contextlib.ExitStack() as stack:
            self._post = Answers(stack.enter_context(Outbox(self._folder)))
            trail = stack.enter_context(Trail(stack.enter_context(Archive(self._folder))))
            authority = Authority(signers, CommandRules(), stack.enter_context(Nonces(self._nonces)))
            door = Door(authority, trail.refused, trail.enter)
            self._commands = Commands({"bed": self.bed}, self._post, door)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def signed(self, command: str = "") -> bytes:
        return seal(CALIBRATE, command, "dr-1", self._key, time.time())

    def send(self, payload: bytes, *, retained: bool = False) -> Response | None:
        """What was answered."""
        before = len(self._post.told)
        message = aiomqtt.Message(aiomqtt.Topic(CALIBRATE), payload, 1, retained, 1, None)
        self._commands.handle(message)
        return self._post.told[-1] if len(self._post.told) > before else None

    def entered(self) -> list[dict[str, object]]:
        """Refused commands in the trail, once it is closed."""
        with contextlib.closing(sqlite3.connect(self._folder / FILE)) as db:
            entries = [json.loads(row[0]) for row in db.execute("select entry from audit order by number")]
        return [entry for entry in entries if entry["action"] == "command refused"]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path, tmp_path)


def test_retained_commands_are_strangers(guarded: Guarded) -> None:
    """Whoever retained them: they are entered, within bounds, and use up no answer of a signer's."""

    async def body() -> None:
        with guarded as node:
            recorded = node.signed()
            first = node.send(recorded, retained=True)
            assert first is not None and "retained commands are not obeyed" in first.detail
            while node.send(b"{}", retained=True) is not None:
                pass
            mistaken = node.send(node.signed('{"x": 1}'))
            assert mistaken is not None and "unknown key" in mistaken.detail
            obeyed = node.send(recorded)
            assert obeyed is not None and obeyed.ok, "a retained copy must not use up the command itself"

    asyncio.run(body())
    entered = guarded.entered()
    assert entered and all(entry["actor"] == "stranger" for entry in entered)
    assert "retained" in str(entered[0]["detail"])


def test_a_command_that_cannot_be_remembered_is_refused_and_the_next_is_heard(tmp_path: Path) -> None:
    async def body() -> None:
        with small_disk(tmp_path / "disk", "1m") as disk, Guarded(tmp_path, disk) as node:
            full = fill(disk)
            command = node.signed()
            for _ in range(2):
                refused = node.send(command)
                assert refused is not None and not refused.ok and not node.bed.told
                assert refused.detail.startswith("cannot be remembered, so not obeyed: ")
                assert "make room" in refused.detail and refused.detail.isprintable()
            full.unlink()
            obeyed = node.send(command)
            assert obeyed is not None and obeyed.ok and node.bed.told == ["calibrate"]
        assert not node.entered(), "a full disk is no stranger's deed"

    asyncio.run(body())
