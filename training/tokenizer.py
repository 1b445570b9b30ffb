"""A domain tokenizer: byte-level BPE with one token for a code, an electrode, a word of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from pipeline import prompt

PAD, END = "<pad>", "<end>"
# Room for all bytes, all words of the prompt and the merges that lead to them.
_LIMIT = 4096


def train(labels: Sequence[str]) -> Tokenizer:
    """Any text encodes; the prompt's own words are single tokens.

    Words are cut with the one space or line break before them, so that no token is spent on either.
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
        vocab_size=_LIMIT,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = prompt.vocabulary() + [prompt.answer(label) for label in labels]
    fixed = [prompt.prefix(prompt.Person()), prompt.ASK]
    # Twice each: a merge seen once is not made.
    tokenizer.train_from_iterator([*words, *fixed] * 2, trainer)
    split = [word for word in words if len(tokenizer.encode(word).ids) != 1]
    if split:
        raise AssertionError(f"words of the prompt that take several tokens: {split}")
    return tokenizer
