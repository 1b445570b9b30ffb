"""Examples as tokens to learn from: the question, and the answer behind it that counts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from pipeline import prompt
from training.answers import answer_text
from training.augment import augmented
from training.corpus import Example
from training.errors import TrainingError
from training.evaluation.variants import prompts
from training.lm_settings import Lora
from training.recipe import Recipe
from training.steps import Batch

IGNORED = -100  # as torch's cross entropy takes it


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Token ids; the answer ends with the end token."""

    question: list[int]
    answer: list[int]


class Lessons:
    """What each step of the optimiser sees: a function of the step's number alone."""

    def __init__(
        self, recipe: Recipe, how: Lora, examples: Sequence[Example], tokenizer: Tokenizer, end: int
    ) -> None:
        """end: token that ends a text. Raises TrainingError where a label has no example."""
        self.examples = [one for example in examples for one in prompts(example)]
        labels = np.array([recipe.labels.index(one.label) for one in self.examples])
        count = np.bincount(labels, minlength=len(recipe.labels))
        if not count.all():
            empty = ", ".join(label for label, n in zip(recipe.labels, count, strict=True) if not n)
            raise TrainingError(f"not one example shows {empty}: nothing can be learnt of it")
        self._recipe, self._how = recipe, how
        self._tokenizer, self._end = tokenizer, end
        self._chance = 1 / count[labels] / len(recipe.labels)
        self._orders: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def updates(self) -> int:
        """Steps of the optimiser in one step of the recipe."""
        return max(1, round(self._how.epochs * len(self) / self._how.batch))

    def parts(self, step: int) -> list[Batch]:
        """ids, targets and the number of targets in the whole step, `rows` prompts a part."""
        batch, rows = self._how.batch, self._how.rows
        lessons = [self.lesson(*divmod(k, len(self))) for k in range(step * batch, (step + 1) * batch)]
        told = torch.tensor(sum(len(lesson.answer) for lesson in lessons))
        return [(*padded(lessons[i : i + rows]), told) for i in range(0, len(lessons), rows)]

    def lesson(self, epoch: int, place: int) -> Lesson:
        at = self._order(epoch)[place]
        example = self.examples[at]
        rng = np.random.default_rng([self._how.seed, epoch, place])
        if self._how.augment:
            example = augmented(example, self._recipe.augment, self._recipe.pipeline.min_channels, rng)
        if self._how.answer == "label":
            answer = prompt.answer(example.label)
        else:
            answer = answer_text(example.label, example.window, int(rng.integers(1 << 16)))
        question = prompt.question(example.window, example.person)
        return Lesson(self._ids(question), [*self._ids(answer), self._end])

    def fingerprint(self) -> str:
        told = hashlib.sha256(self._tokenizer.to_str().encode())
        for example in self.examples:
            window = example.window
            head = f"{example.subject} {example.person} {example.label} {window.channels} {window.method}"
            told.update(head.encode() + window.codes.tobytes())
        return told.hexdigest()

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            rng = np.random.default_rng([self._how.seed, epoch])
            n = len(self)
            drawn = rng.choice(n, n, p=self._chance) if self._how.balance else rng.permutation(n)
            # One step may span two epochs, never more.
            self._orders = {old: order for old, order in self._orders.items() if old == epoch - 1}
            self._orders[epoch] = drawn.tolist()
        return self._orders[epoch]


def padded(lessons: Sequence[Lesson]) -> tuple[torch.Tensor, torch.Tensor]:
    """ids, targets: int64 (n, longest). A target is the token that follows, IGNORED outside the answer."""
    longest = max(len(lesson.question) + len(lesson.answer) for lesson in lessons)
    ids = torch.zeros((len(lessons), longest), dtype=torch.long)
    targets = torch.full_like(ids, IGNORED)
    for row, lesson in enumerate(lessons):
        text = torch.tensor(lesson.question + lesson.answer)
        ids[row, : len(text)] = text
        targets[row, len(lesson.question) - 1 : len(text) - 1] = text[len(lesson.question) :]
    return ids, targets
