"""What a subscriber reads back is what was published."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import Raw

from daemon.decoding import decode
from daemon.messages import encode, stamped
from daemon.record_messages import NOTHING, AuditHead, DraftMessage, RecordRef, SignedMessage

# As long as a record's says it at most: see `Draft.label`.
LABEL = f"amended and signed by {'x' * 64} at 2026-01-31T12:00:00.123456Z, research use only"
ABOUT = RecordRef(id="a", version=1, status="preliminary", sha256="0", label=LABEL)


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


NOW = "2026-01-31T12:00:00Z"
MODEL = {"model": {"id": "m", "sha256": ""}}
SPAN = {"start": NOW, "end": NOW, "gap_pct": 0, "clock_unc_ms": 0}
STATUS = {"schema": "eegcopilot.stream-status/1", "time": NOW, "state": "online", "since": NOW,
          "detail": "", "subject": "pseudo-1"}  # fmt: skip
EPISODE = {"schema": "eegcopilot.episode/1", "time": NOW, "episode": "e", "phase": "begin",
           "subject": "pseudo-1", "label": "calm", "start": NOW, "end": NOW, "readings": 1, "p_mean": 0.5,
           **MODEL}  # fmt: skip
EMOTION = {"schema": "eegcopilot.emotion/1", "time": NOW, "subject": "pseudo-1", "window": SPAN,
           "label": None, "p": {}, "p_smooth": {}, "abstained": True, "reason": "", "quality": 1,
           "latency_ms": {"label": 1, "total": 1}, **MODEL}  # fmt: skip


@pytest.mark.parametrize("payload", [b'{"schema":"eegcopilot.status/1","seq":' + b"9" * 5000, b"\xff", b"["])
def test_what_is_no_message_is_refused_in_one_line(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError) as refusal:
        decode(payload)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("message", [STATUS, EPISODE, EMOTION])
@pytest.mark.parametrize(
    "bad", ["John Smith", "", 'pseudo-1"; x=".exe', "pseudo-\u0142", "pseudo-" + "1" * 49]
)
def test_people_are_told_of_under_pseudonyms_alone(message: dict[str, object], bad: str) -> None:
    with pytest.raises(msgspec.DecodeError, match="subject"):
        decode(json.dumps(message | {"subject": bad}).encode())


@pytest.mark.parametrize("bad", ["never", "", "2026-13-01T00:00:00Z", "x\ny" * 1000])
@pytest.mark.parametrize(
    ("message", "key"),
    [
        (STATUS, "time"),
        (STATUS, "since"),
        (EPISODE, "start"),
        (EPISODE, "end"),
        (EMOTION, "window.start"),
        (EMOTION, "window.end"),
    ],
)
def test_a_time_that_is_none_is_refused_in_one_line(message: dict[str, object], key: str, bad: str) -> None:
    decode(json.dumps(message).encode())
    wrong = message | {"window": SPAN | {key[7:]: bad}} if "." in key else message | {key: bad}
    with pytest.raises(msgspec.DecodeError, match=f"{key}: .* is no time") as refusal:
        decode(json.dumps(wrong).encode())
    assert len(str(refusal.value).splitlines()) == 1 and len(str(refusal.value)) <= 300
