"""A draft of a record: eight sections, the facts behind them, and nothing more until a clinician signs."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct, structs

from pipeline.drafts.facts import Fact

Status = Literal["preliminary", "final", "amended", "rejected"]
Decision = Literal["accept", "amend", "reject"]
StatementOrigin = Literal["measured", "supplied", "generated", "guideline", "clinician"]

DECIDED: dict[Decision, Status] = {"accept": "final", "amend": "amended", "reject": "rejected"}

SECTIONS: dict[str, str] = {
    "basic_information": "Basic Information",
    "medical_history": "Medical History",
    "physical_examination": "Physical Examination Records",
    "diagnosis_information": "Diagnosis Information",
    "treatment_plan": "Treatment Plan",
    "laboratory_results": "Laboratory Results",
    "follow_up": "Follow-up Records",
    "medical_expenses": "Medical Expenses",
}


class Statement(Struct, frozen=True, kw_only=True):
    """One or a few sentences with their evidence. facts, guidance: identities of what they rest on."""

    text: str
    origin: StatementOrigin
    facts: tuple[str, ...] = ()
    guidance: tuple[str, ...] = ()


class Section(Struct, frozen=True, kw_only=True):
    """text: its statements, one a line; empty only with a reason. origin: of its statements, each once."""

    key: str
    title: str
    text: str
    origin: tuple[StatementOrigin, ...]
    facts: tuple[str, ...]
    guidance: tuple[str, ...]
    reason: str
    statements: tuple[Statement, ...]


class Source(Struct, frozen=True, kw_only=True):
    """A guidance entry that is cited. source: the guideline or review it rests on."""

    id: str
    title: str
    source: str


class Provenance(Struct, frozen=True, kw_only=True):
    """Who made the draft. writer: how the model took part in its wording. trigger: why it was made now."""

    program: str
    model: str
    model_sha256: str
    writer: str
    trigger: str
    stream: str


class Signature(Struct, frozen=True, kw_only=True):
    """who: a signer's id in the configuration. when: UTC, by the node's clock. of_sha256: what was signed."""

    who: str
    role: str
    when: str
    decision: Decision
    comment: str
    of_version: int
    of_sha256: str


class EpisodeRef(Struct, frozen=True, kw_only=True):
    """start, end: as told in the episode's own messages; empty where no clock is known."""

    id: str
    label: str
    start: str
    end: str


class Curve(Struct, frozen=True, kw_only=True):
    """What the chart shows.

    stretches: (label or empty, seconds from the start, seconds until).
    points: (seconds, smoothed probability of the label).
    """

    seconds: float
    stretches: tuple[tuple[str, float, float], ...]
    points: tuple[tuple[float, float], ...]


class Draft(Struct, frozen=True, kw_only=True, tag_field="schema", tag="eegcopilot.record/1"):
    """One version of a record. created: UTC. previous: sha256 of the version before, empty for the first."""

    id: str
    version: int
    status: Status
    subject: str
    created: str
    episode: EpisodeRef
    sections: tuple[Section, ...]
    facts: tuple[Fact, ...]
    sources: tuple[Source, ...]
    notes: tuple[str, ...]
    provenance: Provenance
    curve: Curve
    signature: Signature | None = None
    previous: str = ""
    research_use_only: bool = True

    @property
    def label(self) -> str:
        """What every page of it says first."""
        if self.signature is None:
            return "unsigned draft, research use only"
        done = {"accept": "signed", "amend": "amended and signed", "reject": "rejected"}[
            self.signature.decision
        ]
        return f"{done} by {self.signature.who} at {self.signature.when}, research use only"

    def section(self, key: str) -> Section:
        return next(section for section in self.sections if section.key == key)


def section(key: str, statements: tuple[Statement, ...], reason: str = "") -> Section:
    """reason: why it is empty, where it is."""
    if not statements and not reason:
        raise ValueError(f"section {key} is empty without a reason")
    return Section(
        key=key,
        title=SECTIONS[key],
        text="\n".join(statement.text for statement in statements),
        origin=tuple(dict.fromkeys(statement.origin for statement in statements)),
        facts=tuple(dict.fromkeys(fact for statement in statements for fact in statement.facts)),
        guidance=tuple(dict.fromkeys(entry for statement in statements for entry in statement.guidance)),
        reason="" if statements else reason,
        statements=statements,
    )


def encode(draft: Draft) -> bytes:
    """Always the same bytes for the same draft."""
    return msgspec.json.encode(draft, order="deterministic")


def decode(payload: bytes | str) -> Draft:
    """Raises msgspec.ValidationError, msgspec.DecodeError."""
    return msgspec.json.decode(payload, type=Draft)


def digest(draft: Draft) -> str:
    """sha256 of its encoding."""
    return hashlib.sha256(encode(draft)).hexdigest()


def signed(draft: Draft, signature: Signature, amendments: dict[str, str]) -> Draft:
    """The next version. amendments: new text of sections, by key; empty unless the decision is to amend."""
    changed: list[Section] = []
    for old in draft.sections:
        text = amendments.get(old.key)
        if text is None:
            changed.append(old)
        else:
            statements = tuple(
                Statement(text=line, origin="clinician") for line in text.splitlines() if line.strip()
            )
            changed.append(section(old.key, statements, f"emptied by {signature.who}"))
    return structs.replace(
        draft,
        version=draft.version + 1,
        status=DECIDED[signature.decision],
        sections=tuple(changed),
        signature=signature,
        previous=digest(draft),
    )
