"""A domain tokenizer: byte-level BPE with one token for a code, an electrode, a word of the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline import prompt
from training.errors import TrainingError

PAD, END = "<pad>", "<end>"
# Room for all bytes, all words of the prompt and the merges that lead to them.
_LIMIT = 4096
# How often the prompt is told beside further text: its words are then merged before any that is rare there.
_TIMES = 5000
# Words are counted as they come; more than this of them changes few merges.
_CHARACTERS = 50_000_000


def train(labels: Sequence[str], texts: Iterable[str] | None = None, size: int = _LIMIT) -> Tokenizer:
    """Any text encodes; the prompt's own words are single tokens.

    Words are cut with the one space or line break before them, so that no token is spent on either.
    texts: further text that it shall be short for. size: tokens at most.
    Raises TrainingError where `size` is too small for the prompt.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s?[^\s]+|\s"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = prompt.vocabulary() + [prompt.answer(label) for label in labels]
    fixed = [prompt.prefix(prompt.Person()), prompt.ASK]
    # Twice each: a merge seen once is not made.
    told = [*words, *fixed] * 2
    if texts is None:
        tokenizer.train_from_iterator(told, trainer)
    else:
        tokenizer.train_from_iterator(_beside(texts, "".join([fixed[0], *words, fixed[1]])), trainer)
    split = [word for word in words if len(tokenizer.encode(word).ids) != 1]
    if split:
        raise TrainingError(
            f"{size} tokens are too few: {len(split)} words of the prompt take several, as {split[0]!r}: "
            "give a larger vocabulary"
        )
    return tokenizer


def _beside(texts: Iterable[str], told: str) -> Iterator[str]:
    yield from [told] * _TIMES
    characters = 0
    for text in texts:
        yield text
        characters += len(text)
        if characters > _CHARACTERS:
            return
