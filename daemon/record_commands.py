"""What may be asked of a stream's records: to draft, to sign, to answer."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from daemon.signer_settings import Id

SectionKey = Literal[
    "basic_information",
    "medical_history",
    "physical_examination",
    "diagnosis_information",
    "treatment_plan",
    "laboratory_results",
    "follow_up",
    "medical_expenses",
]


class DraftNow(Struct, frozen=True, forbid_unknown_fields=True):
    """A draft of the episode that runs, or of the last one."""


class Sign(Struct, frozen=True, forbid_unknown_fields=True):
    """draft, version: what was read. sha256: of that version, refused where it differs.

    sections: new texts by section, only with the decision `amend`.
    """

    draft: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    version: Annotated[int, Meta(ge=1)]
    signer: Id
    decision: Literal["accept", "amend", "reject"]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    comment: Annotated[str, Meta(max_length=1000)] = ""
    sections: dict[SectionKey, Annotated[str, Meta(max_length=8000)]] = {}


class Ask(Struct, frozen=True, forbid_unknown_fields=True):
    """About the present state, past episodes or guidance."""

    question: Annotated[str, Meta(min_length=1, max_length=500)]
