"""The tables `[[signer]]` and `[commands]`: who may command this node, and how that is proved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from daemon.errors import ConfigError
from pipeline.errors import KeyFileError
from pipeline.keys import public_key

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Verb = Literal["calibrate", "patient", "draft", "sign", "ask", "replay-outbox"]
ALL_VERBS: tuple[Verb, ...] = get_args(Verb)


class Signer(Struct, frozen=True, forbid_unknown_fields=True):
    """A person or a program whose commands are obeyed. id: as told in commands and signatures.

    role: as written in the record. public_key: proves commands to be theirs; None only where the broker is
    on this machine. may: the commands that are obeyed.
    """

    id: Id
    role: Annotated[str, Meta(min_length=1, max_length=80)] = "clinician"
    public_key: str | None = None
    may: tuple[Verb, ...] = ALL_VERBS


class CommandRules(Struct, frozen=True, forbid_unknown_fields=True):
    """max_age_s: how far a signed command's time may be from this node's clock, seconds."""

    max_age_s: Annotated[float, Meta(ge=5, le=3600)] = 60.0


def check(signers: Sequence[Signer], *, local: bool) -> None:
    """local: the broker is on this machine. Raises ConfigError."""
    seen: set[str] = set()
    keys: dict[str, str] = {}
    proving = not local or any(signer.public_key is not None for signer in signers)
    for number, signer in enumerate(signers):
        where = f"signer[{number}]"
        if signer.id in seen:
            raise ConfigError(f"{where}.id: {signer.id!r} is taken by an earlier signer")
        seen.add(signer.id)
        if signer.public_key is None:
            if proving:
                why = "other signers have one" if local else "the broker is on another machine"
                raise ConfigError(f"{where}.public_key: is missing, and {why}: see `eeg-copilot key new`")
            continue
        try:
            public_key(signer.public_key)
        except KeyFileError as why:
            raise ConfigError(f"{where}.public_key: {why}") from None
        if signer.public_key in keys:
            raise ConfigError(f"{where}.public_key: {keys[signer.public_key]!r} has the same one")
        keys[signer.public_key] = signer.id


def must_sign(signers: Sequence[Signer], *, local: bool) -> bool:
    """Whether commands have to prove who sent them.

    MQTT tells a node nothing about a sender. Where the broker is on this machine alone, and no signer has a
    key, whoever the broker lets publish is believed.
    """
    return not local or any(signer.public_key is not None for signer in signers)
