"""Search in the guidance base and in a hospital's documents.

Words first (BM25); where an embedder is given, also by meaning, and the two rankings are joined by reciprocal
rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.errors import GuidanceError
from pipeline.guidance.entries import Entry, load_entries, shipped_entries
from pipeline.guidance.passages import Passage
from pipeline.guidance.store import Store
from pipeline.guidance.vocabulary import any_of, shipped_vocabulary

if TYPE_CHECKING:
    from pipeline.guidance.meaning import Meaning

# A synonym counts less than the word that was asked; set on the development half of the questions.
_RELATED_WEIGHT = 0.15
# Candidates of one ranking; what is below could not reach the first few of the fused one.
_CANDIDATES = 200
# The constant of reciprocal rank fusion, as in its paper.
_FUSION = 60


class Guidance:
    """Entries, and documents where an index is open. Any thread may search, one at a time."""

    def __init__(self, store: Store, entries: Sequence[Entry]) -> None:
        self._store = store
        self._entries = {entry.id: entry for entry in entries}
        self._vocabulary = shipped_vocabulary()
        self._meaning: Meaning | None = None

    @classmethod
    def shipped(cls) -> Self:
        """The entries that come with the program. Raises GuidanceError where one was edited wrongly."""
        entries = load_entries(shipped_entries())
        return cls(Store.create(None, entries), entries)

    @classmethod
    def open(cls, index_path: Path) -> Self:
        """The shipped entries and the documents of an index. Raises GuidanceError where it is no index."""
        entries = load_entries(shipped_entries())
        return cls(Store.open(index_path, entries), entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._store.close()
        if self._meaning:
            self._meaning.close()

    @property
    def store(self) -> Store:
        return self._store

    @property
    def entries(self) -> Mapping[str, Entry]:
        return self._entries

    def add_meaning(self, meaning: Meaning) -> None:
        """From now on searches are hybrid. The vectors must be of this guidance's passages."""
        self._meaning = meaning

    def entry(self, id: str) -> Entry:
        """Raises GuidanceError where there is no such entry."""
        try:
            return self._entries[id]
        except KeyError:
            raise GuidanceError(f"no entry {id!r} in the guidance base") from None

    def passage(self, id: str) -> Passage:
        """An entry or a document's passage by its id. Raises GuidanceError where there is none."""
        number = self._store.number(id)
        if number is None:
            raise GuidanceError(f"no passage {id!r} in the guidance base")
        return self._store.passage(number, score=0.0)

    def search(
        self, question: str, k: int = 5, states: Sequence[str] = (), kinds: Sequence[str] = ()
    ) -> list[Passage]:
        """The k best passages, best first; fewer where fewer share a word or a meaning with the question.

        question: any text. states: only what is about one of these labels, or about all. kinds: only these.
        """
        scores = self._by_words(question, states, kinds)
        if self._meaning:
            allowed = self._store.numbers(states, kinds) if states or kinds else None
            near = self._meaning.nearest(question, _CANDIDATES)
            scores = _fuse(scores, {n: s for n, s in near.items() if allowed is None or n in allowed})
        best = sorted(scores, key=lambda number: (-scores[number], number))[: max(0, k)]
        return [self._store.passage(number, scores[number]) for number in best]

    def _by_words(self, question: str, states: Sequence[str], kinds: Sequence[str]) -> dict[int, float]:
        topic = self._vocabulary.topic(question)
        if not topic:
            return {}
        scores = self._store.match(any_of(topic), states, kinds, _CANDIDATES)
        for word in topic:
            related = self._vocabulary.related(word)
            if not related:
                continue
            for number, score in self._store.match(any_of(related), states, kinds, _CANDIDATES).items():
                scores[number] = scores.get(number, 0.0) + _RELATED_WEIGHT * score
        return scores


def _fuse(*rankings: dict[int, float]) -> dict[int, float]:
    fused: dict[int, float] = {}
    for ranking in rankings:
        for rank, number in enumerate(sorted(ranking, key=lambda n: (-ranking[n], n)), start=1):
            fused[number] = fused.get(number, 0.0) + 1 / (_FUSION + rank)
    return fused
