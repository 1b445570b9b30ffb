"""One model after another on the same held-out texts and people: what pruning cost and what came back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from training.bases import Base, end_of_text
from training.corpus import Example
from training.errors import TrainingError
from training.finetune import Held, measure
from training.lm_settings import Pretrain
from training.perplexity import Foretold, foretell, rows
from training.recipe import Recipe
from training.texts import documents, is_held_out

# Of text, at most; each stage reads its share of it.
_CHARACTERS = 400_000


class Stage(msgspec.Struct, frozen=True):
    name: str
    parameters: int
    vocabulary: int
    text: Foretold
    labels: Held


def held_out_text(folder: Path, how: Pretrain) -> list[str]:
    """The documents that training does not see. Raises TrainingError where there are none."""
    kept: list[str] = []
    for text in documents(folder):
        if is_held_out(text, how.held_out):
            kept.append(text)
            if sum(map(len, kept)) > _CHARACTERS:
                break
    if not kept:
        raise TrainingError(f"{folder}: too little text to hold a part out: give more, or a larger held_out")
    return kept


def stage(name: str, base: Base, recipe: Recipe, texts: Sequence[str], asked: Sequence[Example]) -> Stage:
    """texts: whole documents, cut by the model's own tokenizer. asked: windows of people held out."""
    end = end_of_text(base)
    ids = [[*base.tokenizer.encode(text, add_special_tokens=False).ids, end] for text in texts]
    tokens = np.array([number for text in ids for number in text], dtype=np.uint32)
    how = recipe.pretrain
    return Stage(
        name,
        sum(p.numel() for p in base.model.parameters()),
        base.model.config.vocab_size,
        foretell(base.model, base.tokenizer, rows(tokens, how.context, how.measured)),
        measure(base, recipe, asked, recipe.lora.rows),
    )


def head() -> str:
    return (
        f"{'stage':<12}{'parameters':>14}{'vocabulary':>12}{'perplexity':>14}{'bits/byte':>11}"
        f"{'accuracy':>10}{'balanced':>10}{'macro-F1':>10}"
    )


def line(told: Stage) -> str:
    held = told.labels
    # A ruined model's runs to any length.
    surprise = f"{told.text.perplexity:{',.1f' if told.text.perplexity < 1e7 else '.1e'}}"
    return (
        f"{told.name:<12}{told.parameters:>14,}{told.vocabulary:>12,}{surprise:>14}"
        f"{told.text.bits_per_byte:>11.3f}{held.accuracy:>10.3f}{held.balanced_accuracy:>10.3f}"
        f"{held.macro_f1:>10.3f}"
    )
