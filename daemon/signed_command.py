"""A command that proves who sent it, to whom, and when: MQTT tells a receiver none of these."""

from __future__ import annotations

import json
import secrets
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Meta, Struct, structs

from daemon.messages import iso
from daemon.signer_settings import Id
from pipeline.keys import sign, verified

SCHEMA = "eegcopilot.command/1"


class SignedCommand(Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema", tag=SCHEMA):
    """topic: as published to, so that a command for one stream or verb is none for another. command: the
    command itself, JSON as a string: signed as it is written, so nobody has to agree on how numbers are
    spelled. time: UTC. nonce: never twice by one signer. signature: base64, over `message`.
    """

    topic: Annotated[str, Meta(max_length=400)]
    command: str
    signer: Id
    time: Annotated[str, Meta(max_length=40)]
    nonce: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{16,64}\Z")]
    signature: Annotated[str, Meta(max_length=100)] = ""

    def message(self) -> bytes:
        """What is signed: all fields but the signature as canonical JSON, keys sorted, no spaces, UTF-8.

        All values are strings, for which RFC 8785 and Python's own encoder agree.
        """
        fields = {"schema": SCHEMA} | structs.asdict(self)
        del fields["signature"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def fits(self, public_key: str) -> bool:
        """Raises KeyFileError where `public_key` is none."""
        return verified(public_key, self.message(), self.signature)


def seal(topic: str, command: str, signer: str, key: Ed25519PrivateKey, now: float) -> bytes:
    """The payload to publish to `topic`. command: JSON text, may be empty. now: UTC seconds."""
    unsigned = SignedCommand(topic, command, signer, iso(now), secrets.token_hex(16))
    return msgspec.json.encode(structs.replace(unsigned, signature=sign(key, unsigned.message())))
