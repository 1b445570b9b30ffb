"""Text from the session that reads windows: token by token, held to a grammar, never for long at a time.

A writer's steps are short and end between two runs of the model. Whoever drives it can let a window be read
between any two steps, or leave for good; what is already computed of a prompt is kept for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.model import Model
from pipeline.records import Float32
from pipeline.words import Words

# Tokens of one run. A label has to wait for one run at most, and must not wait for 50 ms: sixteen of a model
# of 135 M parameters in 8-bit blocks, behind 1,000 others, took up to 69 ms on two cores that others used.
CHUNK = 8
# What a decoder writes for the bytes of an unfinished letter.
_HALF = "\N{REPLACEMENT CHARACTER}"

Allowed = Callable[[Sequence[int]], Sequence[int] | None]
"""From the tokens written so far to those that may come next: None for any, none at all for the end."""


@dataclass(frozen=True, slots=True)
class Written:
    """One step. token: what was written, or None where a part of the prompt was read.

    text: what this step adds to the text; empty in the middle of a letter of several tokens.
    """

    token: int | None
    text: str


class Writer:
    """Writes one text at a time, in a cache of its own. Memory is fixed from the start."""

    def __init__(
        self, model: Model, words: Words, capacity: int, ends: Sequence[str] = (), chunk: int = CHUNK
    ) -> None:
        """capacity: tokens of the longest prompt and its text; ends: tokens that end a text."""
        self._model = model
        self._words = words
        self._cache = model.cache(1, min(capacity, model.longest))
        self._chunk = chunk
        self._ends = {found for token in ends if (found := words.id(token)) is not None}
        self._held: list[int] = []
        # How much of it was read in whole chunks from the start. Only that is kept for the next text: cut
        # otherwise, rounding differs, and a text would depend on the one before it.
        self._whole = 0

    @property
    def capacity(self) -> int:
        return self._cache.capacity

    def write(self, question: Sequence[int], most: int, allowed: Allowed | None = None) -> Iterator[Written]:
        """The likeliest token after `question`, and so on, up to `most` tokens, an end, or the grammar's end.

        question: token ids; what it shares with the beginning of the last text is not computed again.
        Raises ValueError where question and text could not fit.
        """
        if not question or len(question) + most > self.capacity:
            raise ValueError(
                f"{len(question)} + {most} tokens do not fit {self.capacity}, or there is no question"
            )
        return self._write(list(question), most, allowed)

    def _write(self, text: list[int], most: int, allowed: Allowed | None) -> Iterator[Written]:
        begin, told = len(text), ""
        # Logits are not kept, so at least the last token is read again.
        same = min(_shared(self._held, text), self._whole, len(text) - 1)
        self._whole = same // self._chunk * self._chunk
        del self._held[self._whole :]
        while len(text) - begin < most:
            choice = None if allowed is None else allowed(text[begin:])
            if choice is not None and len(choice) == 0:
                return
            if choice is not None and len(choice) == 1:
                token = choice[0]  # nothing to ask the model; it reads the token when it next has to choose
            else:
                while len(text) - len(self._held) > self._chunk:
                    self._run(text)
                    yield Written(None, "")
                token = _best(self._run(text), choice)
            if token in self._ends:
                return
            text.append(token)
            so_far = self._words.text(text[begin:])
            whole = so_far if not so_far.endswith(_HALF) else told
            yield Written(token, whole[len(told) :])
            told = whole

    def _run(self, text: list[int]) -> Float32:
        """Reads the next chunk of `text`. Returns the logits behind it: (vocabulary,)."""
        past = len(self._held)
        chunk = text[past : past + self._chunk]
        logits: Float32 = self._model.run(self._cache, [chunk], past)[0, 0]
        self._held += chunk
        if past == self._whole and len(chunk) == self._chunk:
            self._whole = len(self._held)
        return logits


def _best(logits: Float32, choice: Sequence[int] | None) -> int:
    if choice is None:
        return int(logits.argmax())
    ids: npt.NDArray[np.int64] = np.asarray(choice, dtype=np.int64)
    return int(ids[logits[ids].argmax()])


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
