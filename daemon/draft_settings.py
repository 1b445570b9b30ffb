"""The table `[drafts]`: when drafts are made, and how they travel."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class Drafts(Struct, frozen=True, forbid_unknown_fields=True):
    """on_end, on_change: a draft at each episode's end, and at each new state's beginning.

    every_min: minutes between drafts of an episode that goes on; None for none. min_s: shorter episodes get
    no draft by themselves, seconds. send: the whole record, or a pointer and its hash, the record staying
    here. guidance: index of the hospital's own documents, besides the shipped entries; None for none.
    embedder: folder of the text embedder, for search by meaning beside words; None for words alone.
    identity: what becomes of keys of a patient context that name the person: refused, or kept in a file of
    this node, never published.
    """

    enabled: bool = True
    on_end: bool = True
    on_change: bool = False
    every_min: Annotated[float, Meta(gt=0, le=1440)] | None = None
    min_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    send: Literal["record", "pointer"] = "record"
    fhir: Literal["R4B", "R5"] = "R4B"
    identity: Literal["refuse", "node"] = "refuse"
    guidance: str | None = None
    embedder: str | None = None
