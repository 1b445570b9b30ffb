"""Tokens of a process that runs for months."""

from __future__ import annotations

import os

import numpy as np

from pipeline.bundle import TOKENIZER, shipped_bundle
from pipeline.words import Words
from tests.parts.machine import memory_mb


def test_words_that_never_come_again_are_not_kept() -> None:
    words = Words(shipped_bundle() / TOKENIZER)
    letters = np.random.default_rng(8).integers(ord("a"), ord("z") + 1, (8_000, 200), dtype=np.uint8)
    texts = [bytes(row).decode() for row in letters]
    first = words.ids(texts[0])
    before = memory_mb(os.getpid())
    for text in texts:
        words.ids(text)
    assert memory_mb(os.getpid()) - before < 8  # kept, they take 40 MB
    assert words.ids(texts[0]) == first
    assert words.text(first) == texts[0]
