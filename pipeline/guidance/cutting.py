"""Text of unknown origin to short, plain passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

# What fits an embedder's 256 tokens, and a citation on a page.
PASSAGE_WORDS = 120
# Longer than any word of any language: a line of dashes, a key, base64.
_WORD_CHARACTERS = 60
# Control and invisible characters: terminal escapes, marks that reverse reading order, tags that hide text,
# halves of surrogate pairs. Tab and line feed stay.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u115f\u1160\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_LINE_ENDS = re.compile("\r\n?|[\x0c\x85\u2028\u2029]")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_HEADING = re.compile(r"#{1,6}[ \t]+(.+)")


def plain(text: str) -> str:
    """The text without control and invisible characters, lines ended by line feeds."""
    return _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))


def one_line(text: str, most: int) -> str:
    """Plain, on one line, of at most so many characters."""
    return " ".join(plain(text).split())[:most]


def cut(text: str) -> Iterator[tuple[str, str]]:
    """Heading (of Markdown, else empty) and passage, in order; each of at most PASSAGE_WORDS words.

    Paragraphs are joined as long as they fit; those that do not are cut, at a sentence's end if possible.
    """
    heading = ""
    held: list[str] = []
    for paragraph in _PARAGRAPH.split(plain(text)):
        first, _, rest = paragraph.strip().partition("\n")
        if found := _HEADING.fullmatch(first.strip()):
            if held:
                yield heading, " ".join(held)
                held = []
            heading, paragraph = one_line(found[1], 100), rest
        for piece in _pieces(paragraph):
            if len(held) + len(piece) > PASSAGE_WORDS:
                yield heading, " ".join(held)
                held = []
            held += piece
    if held:
        yield heading, " ".join(held)


def _pieces(paragraph: str) -> Iterator[list[str]]:
    """The words of a paragraph, whole if it fits, else of each sentence, else of parts of sentences."""
    whole = _words(paragraph)
    if len(whole) <= PASSAGE_WORDS:
        yield whole
        return
    for sentence in _SENTENCE_END.split(paragraph):
        words = _words(sentence)
        for begin in range(0, len(words), PASSAGE_WORDS):
            yield words[begin : begin + PASSAGE_WORDS]


def _words(text: str) -> list[str]:
    return [
        word[begin : begin + _WORD_CHARACTERS]
        for word in text.split()
        for begin in range(0, len(word), _WORD_CHARACTERS)
    ]
