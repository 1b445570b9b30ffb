"""A patient's context is taken strictly or refused in one line."""

from __future__ import annotations

import json

import pytest
from episodes_at_hand import FULL

from pipeline.drafts.context import MAX_BYTES, ContextError, read_context


def test_everything_known_is_taken() -> None:
    taken = read_context(json.dumps({"subject": "pseudo-1"} | FULL).encode())
    assert taken.medication[0].name == "Ibuprofen" and taken.age == 41


def test_control_characters_are_stripped() -> None:
    raw = {"subject": "pseudo-1", "history": ["a\x00b\x1b[31m\u202ec\u200bd\n\te"]}
    assert read_context(json.dumps(raw).encode()).history == ("ab[31mcd e",)


REFUSED = [
    (b"{", "not JSON"),
    (b"[" * 60_000, "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b" " * (MAX_BYTES + 1), "too many"),
    (b'{"subject": "pseudo-1", "history": ["' + b"x" * 1_000_000 + b'"]}', "too many"),
    (b"{}", "subject"),
    (b'{"subject": "Jane Doe"}', "regex"),
    (b'{"subject": "pseudo-1", "name": "Jane"}', "pseudonym only"),
    (b'{"subject": "pseudo-1", "Patient_Name": "Jane"}', "pseudonym only"),
    (b'{"subject": "pseudo-1", "date of birth": "x"}', "pseudonym only"),
    (
        b'{"subject": "pseudo-1", "laboratory": [{"name": "TSH", "value": "1", "email": "x"}]}',
        "pseudonym only",
    ),
    (b'{"subject": "pseudo-1", "status": "final"}', "status"),
    (b'{"subject": "pseudo-1", "age": 130}', "age"),
    (b'{"subject": "pseudo-1", "history": ["' + b"x" * 401 + b'"]}', "400"),
    (b'{"subject": "pseudo-1", "expenses": [{"item": "x", "amount": -1, "currency": "EUR"}]}', "amount"),
]


@pytest.mark.parametrize(("payload", "part"), REFUSED, ids=[part for _, part in REFUSED])
def test_refused_in_one_line(payload: bytes, part: str) -> None:
    with pytest.raises(ContextError) as refusal:
        read_context(payload)
    told = str(refusal.value)
    assert (
        part in told and told.isprintable() and len(told) < 400 and "Jane" not in told.replace("Jane Doe", "")
    )
