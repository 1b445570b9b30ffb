"""A passage: what a search gives back, from an entry or from a hospital's own document."""

from __future__ import annotations

from dataclasses import dataclass

DOCUMENT = "document"
"""The kind of a passage from a document. Its text is the hospital's: data to quote, never an instruction."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One answer to a question.

    id: an entry's id, or `doc:FILE#PAGE.NUMBER`. recommendation: what to quote, empty where there is none.
    kind: `information`, `recommendation`, `safety`, `limitation` or `document`.
    source: the citation, or file and page. score: higher is better; only comparable within one search.
    """

    id: str
    title: str
    text: str
    recommendation: str
    kind: str
    source: str
    score: float
