"""Vectors of passages in sqlite-vec, and the passages nearest in meaning to a question.

Through apsw, because many builds of Python switch off the loading of SQLite extensions in their own module.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

from pipeline.errors import GuidanceError
from pipeline.guidance.embedding import DIMENSIONS, Embedder
from pipeline.guidance.search import Guidance

try:
    import apsw
    import sqlite_vec
except ImportError as missing:  # an extra, so that a bedside machine can do without
    raise GuidanceError(
        f"search by meaning needs {missing.name}: pip install 'eeg-emotion-copilot[dense]'"
    ) from missing

# Passages embedded between two reports of progress.
_STEP = 64


def vectors_beside(index: Path) -> Path:
    """Where the vectors of an index on disk are."""
    return index.with_name(f"{index.name}.vectors")


class Meaning:
    """Vectors of all passages of one guidance, and the embedder that made them."""

    def __init__(self, connection: apsw.Connection, embedder: Embedder) -> None:
        self._connection = connection
        self._embedder = embedder

    @classmethod
    def build(
        cls,
        guidance: Guidance,
        embedder: Embedder,
        path: Path | None = None,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Self:
        """Embeds every passage; in memory where there is no path. progress(done, all): passages."""
        part = path.with_name(f"{path.name}.part") if path else None
        try:
            if part:
                part.unlink(missing_ok=True)
            connection = _connect(str(part) if part else ":memory:")
            cls._fill(connection, guidance, embedder, progress)
            if path and part:
                # Under its own name only when whole.
                connection.close()
                part.replace(path)
                return cls.open(path, guidance, embedder)
        except (apsw.Error, OSError) as error:
            raise GuidanceError(f"{path}: cannot be written: {error}") from error
        return cls(connection, embedder)

    @staticmethod
    def _fill(
        connection: apsw.Connection,
        guidance: Guidance,
        embedder: Embedder,
        progress: Callable[[int, int], None],
    ) -> None:
        with connection:
            connection.execute("CREATE TABLE about (passages TEXT NOT NULL, embedder TEXT NOT NULL) STRICT")
            connection.execute("INSERT INTO about VALUES (?, ?)", (guidance.store.digest(), embedder.sha256))
            connection.execute(
                "CREATE VIRTUAL TABLE vector USING "
                f"vec0(number INTEGER PRIMARY KEY, meaning FLOAT[{DIMENSIONS}])"
            )
            texts = guidance.store.texts()
            for begin in range(0, len(texts), _STEP):
                progress(begin, len(texts))
                some = texts[begin : begin + _STEP]
                vectors = embedder.embed([text for _, text in some])
                connection.executemany(
                    "INSERT INTO vector(number, meaning) VALUES (?, ?)",
                    [(number, row.tobytes()) for (number, _), row in zip(some, vectors, strict=True)],
                )
        progress(len(texts), len(texts))

    @classmethod
    def open(cls, path: Path, guidance: Guidance, embedder: Embedder) -> Self:
        """Raises GuidanceError where the vectors are missing, or of other passages or another embedder."""
        if not path.is_file():
            raise GuidanceError(f"{path}: no vectors here: index the folder again with --dense")
        try:
            connection = _connect(str(path), apsw.SQLITE_OPEN_READONLY)
            held = connection.execute("SELECT passages, embedder FROM about").fetchone()
        except apsw.Error as error:
            raise GuidanceError(
                f"{path}: no vectors ({error}): index the folder again with --dense"
            ) from error
        if held != (guidance.store.digest(), embedder.sha256):
            raise GuidanceError(f"{path}: of another index or embedder: index the folder again with --dense")
        return cls(connection, embedder)

    @classmethod
    def fits(cls, path: Path, guidance: Guidance, embedder: Embedder) -> bool:
        """Are there vectors of just these passages and this embedder?"""
        try:
            cls.open(path, guidance, embedder).close()
        except GuidanceError:
            return False
        return True

    def nearest(self, question: str, most: int) -> dict[int, float]:
        """Passage numbers with their cosine to the question, best first."""
        (vector,) = self._embedder.embed([question])
        rows = self._connection.execute(
            "SELECT number, distance FROM vector WHERE meaning MATCH ? AND k = ? ORDER BY distance",
            (vector.tobytes(), most),
        )
        # Both have length 1, so distance² = 2 − 2 cos.
        return {number: 1 - distance * distance / 2 for number, distance in rows}

    def close(self) -> None:
        self._connection.close()


def _connect(path: str, flags: int | None = None) -> apsw.Connection:
    connection = apsw.Connection(path) if flags is None else apsw.Connection(path, flags=flags)
    connection.enable_load_extension(True)
    sqlite_vec.load(connection)
    connection.enable_load_extension(False)
    return connection
