"""Messages about records: drafts, signatures and answers. Never retained, never dropped."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from daemon.messages import Message
from daemon.pseudonym import Pseudonym

# Where only the pointer is sent. Not None: msgspec reads no union with Raw in it.
NOTHING = Raw(b"null")

# Of a record: counted up by one with each decision, and an integer to whoever stores it.
Version = Annotated[int, Meta(ge=1, lt=2**31)]
# Of records and episodes. They stand in trails and in names of files, which take no other characters.
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Short = Annotated[str, Meta(max_length=64)]


class AuditHead(Struct, frozen=True):
    """The newest entry of the node's audit trail and its hash: kept elsewhere, it proves the trail whole."""

    entry: int
    hash: str


class RecordRef(Struct, frozen=True):
    """A version of a record. sha256: of its encoding. label: what every page of it says first."""

    id: Id
    version: Version
    status: Short
    sha256: Short
    label: Annotated[str, Meta(max_length=200)]


class DraftMessage(Message, frozen=True, kw_only=True, tag="eegcopilot.draft/1"):
    """An unsigned draft. record, fhir: null where only the pointer is sent; the record then stays here."""

    subject: Pseudonym
    episode: Id
    trigger: str
    draft: RecordRef
    record: Raw
    fhir: Raw
    audit: AuditHead


class SignedMessage(Message, frozen=True, kw_only=True, tag="eegcopilot.signed/1"):
    """A clinician's decision. who: the signer's id. when: UTC. decision: accept, amend or reject."""

    subject: Pseudonym
    episode: Id
    who: str
    when: str
    decision: str
    draft: RecordRef
    record: Raw
    fhir: Raw
    audit: AuditHead


class Cited(Struct, frozen=True):
    """What an answer rests on: a fact with its value as text, or a guidance entry with its source."""

    id: str
    text: str


class Answer(Message, frozen=True, kw_only=True, tag="eegcopilot.answer/1"):
    """A piece of an answer. index: from 0. done: the last one; it carries the whole text and what was cited.

    refused: why the question is not answered, else empty.
    """

    question: str
    index: int
    piece: str
    done: bool
    text: str = ""
    refused: str = ""
    facts: list[Cited] = msgspec.field(default_factory=list)
    sources: list[Cited] = msgspec.field(default_factory=list)
