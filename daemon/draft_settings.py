"""The tables `[drafts]` and `[[signer]]`: when drafts are made, how they travel, and who may sign them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


class Drafts(Struct, frozen=True, forbid_unknown_fields=True):
    """on_end, on_change: a draft at each episode's end, and at each new state's beginning.

    every_min: minutes between drafts of an episode that goes on; None for none. min_s: shorter episodes get
    no draft by themselves, seconds. send: the whole record, or a pointer and its hash, the record staying
    here. guidance: index of the hospital's own documents, besides the shipped entries; None for none.
    embedder: folder of the text embedder, for search by meaning beside words; None for words alone.
    """

    enabled: bool = True
    on_end: bool = True
    on_change: bool = False
    every_min: Annotated[float, Meta(gt=0, le=1440)] | None = None
    min_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    send: Literal["record", "pointer"] = "record"
    fhir: Literal["R4B", "R5"] = "R4B"
    guidance: str | None = None
    embedder: str | None = None


class Signer(Struct, frozen=True, forbid_unknown_fields=True):
    """A clinician who may sign. id: as told in commands and signatures. role: as written in the record."""

    id: Id
    role: Annotated[str, Meta(min_length=1, max_length=80)] = "clinician"
