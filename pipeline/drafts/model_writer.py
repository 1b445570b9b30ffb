"""The bundle's own model as the writer of drafts: held to a grammar, one short step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from pipeline.decode import Allowed, Written
from pipeline.grammar import Grammar, OneOf
from pipeline.reader import Reader

# A tokenizer made for prompts holds their words and little else; with fewer tokens than this nobody writes
# prose.
_PROSE_TOKENS = 4096
# Of prose, in tokens: a few sentences.
_MOST_PROSE = 96
# Tokens that end a text, as the usual chat and language models spell them.
_ENDS = ("<|endoftext|>", "<|im_end|>", "</s>", "<eos>")

Turn = Callable[[], AbstractContextManager[object]]
"""Entered for each step of the model, so that readings can come in between."""


class ModelWriter:
    """capacity: tokens of prompt and text together. turn: who else uses the model waits for one step."""

    def __init__(self, reader: Reader, *, capacity: int = 2048, turn: Turn = nullcontext) -> None:
        self._words = reader.words
        self._turn = turn
        self._decoder = reader.writer(capacity, _ENDS)
        self._fluent = reader.words.size >= _PROSE_TOKENS

    @property
    def name(self) -> str:
        if self._fluent:
            return "the model wrote sentences, each checked against the facts, and chose among fixed wordings"
        return "the model chose among fixed wordings that are all true"

    def choose(self, lead: str, alternatives: Sequence[str]) -> int:
        """The alternative that the model's likeliest tokens lead to; the first where it cannot tell."""
        texts = tuple(f" {one}" for one in alternatives)
        try:
            grammar = Grammar(self._words, [OneOf(texts)])
        except ValueError:  # one is the beginning of another
            return 0
        question = self._words.ids(lead)
        longest = max(len(self._words.ids(text)) for text in texts)
        if not question or len(question) + longest > self._decoder.capacity:
            return 0
        written: list[int] = []
        left = {text: self._words.ids(text) for text in texts}
        for step in self._steps(question, longest, grammar):
            if step.token is not None:
                written.append(step.token)
                left = {text: ids for text, ids in left.items() if ids[: len(written)] == written}
            if len(left) == 1:
                break
        return texts.index(next(iter(left))) if left else 0

    def compose(self, lead: str, facts: Sequence[str]) -> str:
        if not self._fluent:
            return ""
        told = "\n".join(facts)
        question = self._words.ids(
            f"Facts:\n{told}\n\nA short description of these facts in full sentences:\n"
        )
        if len(question) + _MOST_PROSE > self._decoder.capacity:
            return ""
        text = "".join(step.text for step in self._steps(question, _MOST_PROSE, None))
        # A text that was cut off ends with its last whole sentence.
        return text[: max(text.rfind(end) for end in ".!?") + 1]

    def _steps(self, question: Sequence[int], most: int, allowed: Allowed | None) -> Iterator[Written]:
        steps = self._decoder.write(question, most, allowed)
        while True:
            with self._turn():
                step = next(steps, None)
            if step is None:
                return
            yield step
