"""Guidance as drafts and answers see it: entries that can be searched, cited and quoted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pipeline.drafts.facts import Fact, words

# Share of the best score in a search below which an entry speaks of something else.
_NEAR = 0.4


class Entry(Protocol):
    """id: what is cited. recommendation: one advice, quoted as it stands; empty where there is none.

    kind: information, recommendation, safety, limitation, document. source: the guideline or review it
    rests on. score: higher is better, comparable within one search only.
    """

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def recommendation(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def score(self) -> float: ...


class Guide(Protocol):
    """A guidance base. Best entries first."""

    def search(
        self, question: str, k: int = 5, states: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> Sequence[Entry]: ...


def nearest(entries: Sequence[Entry]) -> list[Entry]:
    """Those that are not far behind the best: a search always finds something more."""
    return [entry for entry in entries if entry.score >= _NEAR * entries[0].score]


def quoted(entries: Iterable[Entry]) -> list[Fact]:
    """What is cited, as facts: a quoted number is a fact about its source."""
    return [
        words(f"guidance.{entry.id}", f"{entry.title} ({entry.source})", told(entry), "guideline")
        for entry in entries
    ]


def told(entry: Entry) -> str:
    """All that an entry says."""
    return " ".join(f"{entry.text} {entry.recommendation}".split())
