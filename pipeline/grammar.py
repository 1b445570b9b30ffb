"""What may be written where: fixed texts, choices and free text, as the tokens that may come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.words import Words


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these texts. A single one is fixed, and costs no choice."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """Any text up to `most` tokens, ended earlier by `until`, which is part of it."""

    most: int
    until: str = "\n"


Part = OneOf | Free


class Grammar:
    """A sequence of parts, callable as the `Allowed` of a writer.

    Texts are tokenised part by part, and a token is one of a text or another: no text may begin with all of
    another one's tokens.
    """

    def __init__(self, words: Words, parts: Sequence[Part]) -> None:
        """Raises ValueError where a choice could not be told from its beginning."""
        self._words = words
        self._parts = list(parts)
        self._texts = [
            [words.ids(text) for text in part.texts] if isinstance(part, OneOf) else [] for part in parts
        ]
        for texts in self._texts:
            for text in texts:
                if not text or any(other is not text and other[: len(text)] == text for other in texts):
                    raise ValueError(f"{words.text(text)!r} is empty or the beginning of another choice")

    def __call__(self, written: Sequence[int]) -> Sequence[int] | None:
        """Tokens that may follow; none where all parts are written. None: any."""
        at = 0
        for part, texts in zip(self._parts, self._texts, strict=True):
            rest = list(written[at:])
            if isinstance(part, Free):
                length = self._free(part, rest)
            else:
                length = next((len(text) for text in texts if rest[: len(text)] == text), None)
            if length is None:
                return None if isinstance(part, Free) else _next(texts, rest)
            at += length
        return ()

    def _free(self, part: Free, rest: Sequence[int]) -> int | None:
        """Tokens that the part took, or None while it goes on."""
        for length in range(1, min(len(rest), part.most) + 1):
            # A token may hold the end and more.
            if part.until in self._words.text(rest[length - 1 : length]):
                return length
        return part.most if len(rest) >= part.most else None


def _next(texts: Sequence[Sequence[int]], rest: Sequence[int]) -> list[int]:
    fitting = [text[len(rest)] for text in texts if list(text[: len(rest)]) == list(rest)]
    return list(dict.fromkeys(fitting))
