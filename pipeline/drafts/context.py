"""What is known about a patient beforehand: strictly decoded, under a pseudonym, never interpreted."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pipeline.drafts.identity import ContextError, refuse_identity
from pipeline.json_input import decode_json

# A context is a page of keywords; a larger one is a mistake or an attack.
MAX_BYTES = 65536

Line = Annotated[str, Meta(min_length=1, max_length=400)]
Lines = Annotated[tuple[Line, ...], Meta(max_length=40)]
Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}\Z")]


class Medication(Struct, frozen=True, forbid_unknown_fields=True):
    """As prescribed by others; it is copied, never judged."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    dose: Annotated[str, Meta(max_length=120)] = ""
    since: Day | None = None


class Laboratory(Struct, frozen=True, forbid_unknown_fields=True):
    """One result. unit: as the laboratory writes it."""

    name: Annotated[str, Meta(min_length=1, max_length=120)]
    value: Annotated[str, Meta(min_length=1, max_length=60)]
    unit: Annotated[str, Meta(max_length=30)] = ""
    date: Day | None = None


class Expense(Struct, frozen=True, forbid_unknown_fields=True):
    """amount: in `currency`, a code of three letters (ISO 4217)."""

    item: Annotated[str, Meta(min_length=1, max_length=200)]
    amount: Annotated[float, Meta(ge=0, le=1e9)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    date: Day | None = None


class PatientContext(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything but the subject may be missing. age: years."""

    subject: Annotated[str, Meta(pattern=r"^pseudo-[A-Za-z0-9_-]{1,48}\Z")]
    age: Annotated[int, Meta(ge=0, le=120)] | None = None
    gender: Literal["female", "male", "other"] | None = None
    complaint: Annotated[str, Meta(max_length=400)] = ""
    history: Lines = ()
    medication: Annotated[tuple[Medication, ...], Meta(max_length=40)] = ()
    allergies: Lines = ()
    examination: Lines = ()
    laboratory: Annotated[tuple[Laboratory, ...], Meta(max_length=60)] = ()
    expenses: Annotated[tuple[Expense, ...], Meta(max_length=60)] = ()


def read_context(payload: bytes) -> PatientContext:
    """Raises ContextError."""
    if len(payload) > MAX_BYTES:
        raise ContextError(f"patient context: {len(payload)} bytes are too many: at most {MAX_BYTES}")
    try:
        raw = cleaned(decode_json(payload))
    except ValueError as why:
        raise ContextError(f"patient context is not JSON: {clean(str(why))}") from None
    try:
        refuse_identity(raw, PatientContext.__struct_encode_fields__)
        return msgspec.convert(raw, PatientContext)
    except (ContextError, msgspec.ValidationError) as why:
        raise ContextError(f"patient context: {clean(str(why))[:300]}") from None


def clean(text: str) -> str:
    """One line without control, formatting or private characters: nothing can hide in it."""
    spaced = (" " if letter.isspace() else letter for letter in unicodedata.normalize("NFC", text))
    return " ".join("".join(letter for letter in spaced if unicodedata.category(letter)[0] != "C").split())


def cleaned(raw: Any) -> Any:
    """The same value with every text cleaned."""
    if isinstance(raw, str):
        return clean(raw)
    if isinstance(raw, list):
        return [cleaned(item) for item in raw]
    if isinstance(raw, dict):
        return {clean(str(key)): cleaned(value) for key, value in raw.items()}
    return raw
