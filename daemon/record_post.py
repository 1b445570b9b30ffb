"""Puts records and answers into the outbox: drafts and signatures are never retained and never dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from daemon.audit import Head
from daemon.post import Post
from daemon.record_messages import (
    NOTHING,
    Answer,
    AuditHead,
    Cited,
    DraftMessage,
    RecordRef,
    SignedMessage,
)
from pipeline.drafts.answering import Reply
from pipeline.drafts.record import Draft, digest, encode
from pipeline.drafts.render import cited

# Characters of one piece of an answer: some words at a time, as they would be spoken.
_PIECE = 48


class RecordPost:
    def __init__(self, post: Post) -> None:
        self._post = post

    def record(self, draft: Draft, fhir: bytes, head: Head, *, whole: bool) -> None:
        """fhir: its JSON. whole: False sends only what it is called and its hash."""
        stream = draft.provenance.stream
        # The same after a crash between telling and noting that it was told: so a subscriber sees it is one.
        message_id = uuid5(NAMESPACE_URL, f"urn:eegcopilot:{draft.id}:{draft.version}").hex
        common: dict[str, Any] = {
            "id": message_id,
            "subject": draft.subject,
            "episode": draft.episode.id,
            "draft": RecordRef(draft.id, draft.version, draft.status, digest(draft), draft.label),
            "record": msgspec.Raw(encode(draft)) if whole else NOTHING,
            "fhir": msgspec.Raw(fhir) if whole else NOTHING,
            "audit": AuditHead(head.number, head.hash),
        }
        signed = draft.signature
        if signed is None:
            self._post.draft(stream, DraftMessage(**common, trigger=draft.provenance.trigger))
        else:
            self._post.signed(
                stream,
                SignedMessage(**common, who=signed.who, when=signed.when, decision=signed.decision),
            )

    def harden(self) -> None:
        """Returns when no power cut can take away the records told so far. From any thread."""
        self._post.harden()

    def answer(self, stream: str, reply: Reply, correlation: bytes | None) -> None:
        """Piece by piece, then once more whole, with what it rests on."""
        text = "\n".join(statement.text + cited(statement) for statement in reply.statements)
        index = 0
        for index, piece in enumerate(_pieces(text), 1):
            message = Answer(question=reply.question, index=index - 1, piece=piece, done=False)
            self._post.answer(stream, message, correlation)
        last = Answer(
            question=reply.question,
            index=index,
            piece="",
            done=True,
            text=text,
            refused=reply.refused,
            facts=[Cited(fact.id, fact.text) for fact in reply.facts],
            sources=[Cited(source.id, f"{source.title}: {source.source}") for source in reply.sources],
        )
        self._post.answer(stream, last, correlation)


def _pieces(text: str) -> Iterator[str]:
    """Together they are the text again."""
    while len(text) > _PIECE:
        cut = text.rfind(" ", 0, _PIECE) + 1 or _PIECE
        yield text[:cut]
        text = text[cut:]
    if text:
        yield text
