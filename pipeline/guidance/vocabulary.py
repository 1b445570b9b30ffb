"""From a question to the words worth searching, and the words that mean the same.

Any text is safe: only letters and digits are kept, each word quoted, so that FTS5 never sees its own syntax.
"""

from __future__ import annotations

import re
import sqlite3
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from pathlib import Path

# One tokenizer for all texts and questions: Porter's stems make "breathes" find "breathing".
TOKENIZE = "porter unicode61 remove_diacritics 2"
# A question is a few sentences. What comes after is dropped: a pasted book costs no more than a question.
_QUESTION_CHARACTERS = 2000
_QUESTION_WORDS = 32
_WORD = re.compile(r"[^\W_]+")


class Vocabulary:
    """Synonyms and words without a topic, from `vocabulary.toml`."""

    def __init__(self, ignored: frozenset[str], groups: list[list[str]]) -> None:
        self._ignored = ignored
        self._groups = [[_quoted(phrase) for phrase in group] for group in groups]
        self._group_of: dict[int, int] = {}
        # FTS5 itself looks words up, so that a group's words and the entries' are stemmed alike. Other
        # threads only read, and SQLite serialises its calls.
        self._stems = sqlite3.connect(":memory:", check_same_thread=False)
        self._stems.execute(f"CREATE VIRTUAL TABLE member USING fts5(word, tokenize = '{TOKENIZE}')")
        for number, group in enumerate(groups):
            for word in group:
                if len(words(word)) == 1:
                    row = self._stems.execute("INSERT INTO member(word) VALUES (?)", (word,)).lastrowid
                    assert row is not None
                    self._group_of[row] = number

    def topic(self, question: str) -> list[str]:
        """The words of a question that carry its topic, each once; all of them where none does."""
        found = list(dict.fromkeys(words(question[:_QUESTION_CHARACTERS])))
        return ([word for word in found if word not in self._ignored] or found)[:_QUESTION_WORDS]

    def related(self, word: str) -> list[str]:
        """Quoted words and phrases that mean about the same as the word."""
        rows = self._stems.execute("SELECT rowid FROM member WHERE member MATCH ?", (_quoted(word),))
        groups = dict.fromkeys(self._group_of[row] for (row,) in rows)
        return [phrase for group in groups for phrase in self._groups[group] if phrase != _quoted(word)]


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def any_of(phrases: list[str]) -> str:
    """An FTS5 expression that matches any of the words or phrases; they may be quoted already."""
    return " OR ".join(phrase if phrase.startswith('"') else _quoted(phrase) for phrase in phrases)


@cache
def shipped_vocabulary() -> Vocabulary:
    path = Path(str(resources.files("pipeline"))) / "guidance" / "vocabulary.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    return Vocabulary(frozenset(content["ignored"].split()), content["groups"])


def _quoted(phrase: str) -> str:
    return '"' + " ".join(words(phrase)) + '"'
