"""What a subscriber reads back is what was published."""

from __future__ import annotations

import pytest
from msgspec import Raw

from daemon.decoding import decode
from daemon.messages import encode, stamped
from daemon.record_messages import NOTHING, AuditHead, DraftMessage, RecordRef, SignedMessage

ABOUT = RecordRef(id="a", version=1, status="preliminary", sha256="0", label="calm")


@pytest.mark.parametrize("record", [NOTHING, Raw(b'{"sections":[1,2]}')])
def test_records_come_back_whole_or_as_a_pointer(record: Raw) -> None:
    head = AuditHead(3, "f")
    for message in (
        DraftMessage(
            subject="pseudo-1",
            episode="e",
            trigger="command",
            draft=ABOUT,
            record=record,
            fhir=record,
            audit=head,
        ),
        SignedMessage(
            subject="pseudo-1",
            episode="e",
            who="dr-1",
            when="2026-01-31T12:00:00Z",
            decision="accept",
            draft=ABOUT,
            record=record,
            fhir=record,
            audit=head,
        ),
    ):
        back = decode(encode(stamped(message, 7, 0.0)))
        assert isinstance(back, DraftMessage | SignedMessage)
        assert bytes(back.record) == bytes(record) and back.draft == ABOUT and back.seq == 7
