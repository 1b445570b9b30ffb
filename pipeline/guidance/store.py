"""Passages in SQLite with a full-text index: entries in memory, or on disk with a hospital's documents.

Entries and documents share one index, because BM25 weighs a word by how rare it is among all passages: scores
of two indices cannot be compared.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.errors import GuidanceError
from pipeline.guidance.entries import Entry, fingerprint
from pipeline.guidance.passages import Passage
from pipeline.guidance.vocabulary import TOKENIZE

# Raised when the tables or the tokenizer change: older indices are refused instead of searched wrongly.
_VERSION = 1
# Title, tags and phrasings say what a passage is about, its body also what it mentions; set on the
# development half of the questions.
_WEIGHTS = (3.0, 3.0, 3.0, 1.0)
_TABLES = f"""
    CREATE TABLE about (entries TEXT NOT NULL) STRICT;
    CREATE TABLE passage (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, title TEXT NOT NULL, asked TEXT NOT NULL,
        text TEXT NOT NULL, recommendation TEXT NOT NULL, kind TEXT NOT NULL, states TEXT NOT NULL,
        source TEXT NOT NULL
    ) STRICT;
    CREATE VIRTUAL TABLE words USING fts5(title, tags, asked, body, content = '', tokenize = '{TOKENIZE}');
    PRAGMA user_version = {_VERSION};
"""


class Store:
    """Owns one connection. Reading may be shared between threads: SQLite serialises its calls."""

    Broken = sqlite3.Error

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def create(cls, path: Path | None, entries: Sequence[Entry]) -> Store:
        """A store that holds the entries, in memory where there is no path."""
        store = cls(sqlite3.connect(path or ":memory:", check_same_thread=False))
        store._connection.executescript(_TABLES)
        store._connection.execute("INSERT INTO about VALUES (?)", (fingerprint(tuple(entries)),))
        for entry in entries:
            passage = Passage(
                entry.id,
                entry.title,
                entry.text,
                entry.recommendation,
                entry.kind,
                entry.source.citation,
                score=0.0,
            )
            # Separators keep a phrase from matching across two neighbours.
            store._add(passage, entry.states, " . ".join(entry.tags), " . ".join(entry.asked))
        return store

    @classmethod
    def open(cls, path: Path, entries: Sequence[Entry]) -> Store:
        """An index on disk, for reading. Raises GuidanceError where it is none, or of other entries."""
        if not path.is_file():
            raise GuidanceError(f"{path}: no index here: make one with eeg-copilot guidance index")
        connection = None
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            held = connection.execute("SELECT entries FROM about").fetchone() if version == _VERSION else None
            connection.execute("SELECT count(*) FROM words WHERE words MATCH 'probe'")
        except sqlite3.Error as error:
            if connection:
                connection.close()
            raise GuidanceError(f"{path}: no index of guidance ({error}): index the folder again") from error
        if held != (fingerprint(tuple(entries)),):
            connection.close()
            raise GuidanceError(
                f"{path}: made by another release or other entries: run guidance index on the folder again"
            )
        return cls(connection)

    def add_documents(self, passages: Iterable[Passage]) -> int:
        """Adds and keeps them; the number of passages. Raises GuidanceError where an id is taken."""
        added = 0
        with self._connection:
            for passage in passages:
                try:
                    self._add(passage, states=(), tags="", asked="")
                except sqlite3.IntegrityError as error:
                    raise GuidanceError(
                        f"{passage.source}: another file has the same name without invisible characters"
                    ) from error
                added += 1
        return added

    def seal(self) -> None:
        """Merges the index for fast reading."""
        with self._connection:
            self._connection.execute("INSERT INTO words(words) VALUES ('optimize')")

    def close(self) -> None:
        self._connection.close()

    def match(
        self, expression: str, states: Sequence[str], kinds: Sequence[str], most: int
    ) -> dict[int, float]:
        """Passage numbers with their BM25 score, best first. states, kinds: empty means any."""
        condition, values = _condition(states, kinds)
        rows = self._connection.execute(
            "SELECT number, -bm25(words, ?, ?, ?, ?) AS score "
            "FROM words JOIN passage ON number = words.rowid "
            f"WHERE words MATCH ? AND {condition} ORDER BY score DESC, number LIMIT ?",  # nosec # B608: our own words
            (*_WEIGHTS, expression, *values, most),
        )
        return dict(rows.fetchall())

    def numbers(self, states: Sequence[str], kinds: Sequence[str]) -> set[int]:
        condition, values = _condition(states, kinds)
        return {
            row[0]
            for row in self._connection.execute(
                f"SELECT number FROM passage WHERE {condition}",  # nosec # B608: our own words
                values,
            )
        }

    def passage(self, number: int, score: float) -> Passage:
        id, title, text, recommendation, kind, source = self._connection.execute(
            "SELECT id, title, text, recommendation, kind, source FROM passage WHERE number = ?", (number,)
        ).fetchone()
        return Passage(id, title, text, recommendation, kind, source, score)

    def number(self, id: str) -> int | None:
        row = self._connection.execute("SELECT number FROM passage WHERE id = ?", (id,)).fetchone()
        return None if row is None else int(row[0])

    def texts(self) -> list[tuple[int, str]]:
        """Number, and all that says what it is about, of every passage: what is embedded."""
        # An embedder cuts long texts, so what people ask comes before the text.
        return self._connection.execute(
            "SELECT number, title || '. ' || asked || ' ' || text FROM passage ORDER BY number"
        ).fetchall()

    def digest(self) -> str:
        """sha256 of the texts, which tells vectors apart."""
        digest = hashlib.sha256()
        for number, text in self.texts():
            digest.update(f"{number}\0{text}\0".encode())
        return digest.hexdigest()

    def _add(self, passage: Passage, states: Sequence[str], tags: str, asked: str) -> None:
        number = self._connection.execute(
            "INSERT INTO passage VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                passage.id,
                passage.title,
                asked,
                passage.text,
                passage.recommendation,
                passage.kind,
                # Spaces around each, so that LIKE finds whole labels.
                "".join(f" {state} " for state in states),
                passage.source,
            ),
        ).lastrowid
        self._connection.execute(
            "INSERT INTO words(rowid, title, tags, asked, body) VALUES (?, ?, ?, ?, ?)",
            (number, passage.title, tags, asked, f"{passage.text} {passage.recommendation}"),
        )


def _condition(states: Sequence[str], kinds: Sequence[str]) -> tuple[str, list[str]]:
    """SQL, with its values: passages of one of the kinds, that are about one of the states or about all."""
    parts, values = ["1"], []
    if states:
        parts.append(f"(states = '' {'OR instr(states, ?) ' * len(states)})")
        values += [f" {state} " for state in states]
    if kinds:
        parts.append(f"kind IN ({', '.join('?' * len(kinds))})")
        values += kinds
    return " AND ".join(parts), values
