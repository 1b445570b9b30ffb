"""Fine-tuning on prompts: several steps of a few epochs, each ending in a merged model of its own.

The loss is that of the answer's tokens alone, and lm_head is computed at those positions alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from accelerate import Accelerator
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from pipeline import prompt
from pipeline.whole import as_json, read_json
from training.bases import Base, end_of_text, save_base
from training.checkpoint import Checkpoints
from training.corpus import Example
from training.errors import TrainingError
from training.label_scores import label_scores
from training.lessons import IGNORED, Lessons, padded
from training.lm_settings import Lora
from training.lora import adapt, merged
from training.perplexity import Foretold, foretell
from training.pretrain import weights_sha256
from training.recipe import Recipe
from training.steps import Schedule, Steps

NOTE = "finetune.json"
TUNED = "tuned"
# Prompts on which a merge is checked.
_CHECKED = 4


class Held(msgspec.Struct, frozen=True):
    """On people held out: label with the likeliest text."""

    people: tuple[str, ...]
    windows: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """`finetune.json` of one step.

    updates: of the optimiser so far. merge_error: largest of the logits, 0 without adapters.
    """

    fingerprint: str
    method: str
    settings: Lora
    step: int
    updates: int
    examples: int
    trained_parameters: int
    parameters: int
    merge_error: float
    held_out: Held | None
    text: Foretold | None


class _AnswerLoss(nn.Module):
    """A part's share of the mean loss over all answer tokens of the step."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, targets: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        hidden = self.model.model(input_ids=ids, use_cache=False).last_hidden_state
        wanted = targets != IGNORED
        logits = self.model.get_output_embeddings()(hidden[wanted]).float()
        return cross_entropy(logits, targets[wanted], reduction="sum") / told


def finetune(
    base: Base,
    recipe: Recipe,
    how: Lora,
    examples: Sequence[Example],
    out: Path,
    accelerator: Accelerator,
    *,
    method: str = "lora",
    texts: Sequence[torch.Tensor] = (),
    every_s: float = 120.0,
    every: int = 0,
    bf16: bool = False,
) -> list[Tuned]:
    """Writes out/step-1, step-2 … and points out/tuned to the last. Goes on from where it was killed.

    method: lora or full. texts: rows of held-out tokens on which perplexity is told. Raises TrainingError.
    """
    taught, asked = hold_out(examples, how)
    lessons = Lessons(recipe, how, taught, base.tokenizer, end_of_text(base))
    mark = _mark(base, recipe, how, lessons, method)
    done = _done(out, how.steps, mark)
    if done is not None:
        return done
    model: Any = base.model
    if method == "lora":
        adapted = adapt(base, how)
        model = adapted.base_model.model
    schedule = Schedule(
        steps=how.steps * lessons.updates,
        learning_rate=how.learning_rate,
        warmup=how.warmup,
        decay=how.decay,
        weight_decay=how.weight_decay,
        gradient_norm=how.gradient_norm,
        seed=how.seed,
    )
    checkpoints = Checkpoints(out / "finetune-checkpoints")
    loss = _AnswerLoss(model)
    loop = Steps(loss, schedule, checkpoints, mark, accelerator, every_s=every_s, every=every, bf16=bf16)
    first = padded([lessons.lesson(0, place) for place in range(min(_CHECKED, len(lessons)))])[0]
    found: list[Tuned] = []
    for step in range(1, how.steps + 1):
        until = step * lessons.updates
        if loop.step > until:
            # Its folder was written before the checkpoint that the run went on from.
            found.append(msgspec.json.decode((out / f"step-{step}" / NOTE).read_bytes(), type=Tuned))
            continue
        loop.run(until, lessons.parts, f"step {step}/{how.steps}")
        plain, error = merged(adapted, list(first)) if method == "lora" else (base.model, 0.0)
        whole = Base(plain, base.tokenizer)
        told = Tuned(
            fingerprint=mark,
            method=method,
            settings=how,
            step=step,
            updates=until,
            examples=len(lessons),
            trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
            parameters=sum(p.numel() for p in plain.parameters()),
            merge_error=error,
            held_out=measure(whole, recipe, asked, how.rows) if asked else None,
            text=foretell(plain, base.tokenizer, texts) if texts else None,
        )
        found.append(told)
        if accelerator.is_main_process:
            notes = {NOTE: as_json(told)}
            save_base(whole, out / f"step-{step}", {**notes, "recipe.json": msgspec.json.encode(recipe)})
        accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        point(out, f"step-{how.steps}")
        checkpoints.clear()
    accelerator.wait_for_everyone()
    return found


def hold_out(examples: Sequence[Example], how: Lora) -> tuple[list[Example], list[Example]]:
    """Every `thin`-th window of a person; those to learn from and those of people held out."""
    people = sorted({example.subject for example in examples})
    if how.held_out >= len(people):
        raise TrainingError(
            f"{how.held_out} of {len(people)} people cannot be held out: keep some to learn from"
        )
    aside = set(np.random.default_rng(how.seed).permutation(people)[: how.held_out].tolist())
    seen: dict[str, int] = {}
    kept: tuple[list[Example], list[Example]] = [], []
    for example in examples:
        place = seen[example.subject] = seen.get(example.subject, -1) + 1
        if place % how.thin == 0:
            kept[example.subject in aside].append(example)
    return kept


def measure(base: Base, recipe: Recipe, asked: Sequence[Example], rows: int) -> Held:
    questions = [prompt.question(example.window, example.person) for example in asked]
    labels = [recipe.labels.index(example.label) for example in asked]
    guess = label_scores(base.model, base.tokenizer, questions, recipe.labels, rows).argmax(axis=1)
    return Held(
        people=tuple(sorted({example.subject for example in asked})),
        windows=len(asked),
        accuracy=float(accuracy_score(labels, guess)),
        balanced_accuracy=float(balanced_accuracy_score(labels, guess)),
        macro_f1=float(f1_score(labels, guess, average="macro")),
    )


def point(out: Path, name: str) -> None:
    """out/tuned leads to out/name. Raises TrainingError where something else stands there."""
    link, part = out / TUNED, out / f".{TUNED}.part"
    if link.exists() and not link.is_symlink():
        raise TrainingError(f"{link}: is no link of this program's: move it away")
    try:
        part.unlink(missing_ok=True)
        part.symlink_to(name)
        part.replace(link)
    except OSError as why:
        raise TrainingError(f"{link}: cannot be written: {why.strerror or why}") from None


def _mark(base: Base, recipe: Recipe, how: Lora, lessons: Lessons, method: str) -> str:
    parts = (weights_sha256(base.model), lessons.fingerprint(), method)
    return hashlib.sha256(msgspec.json.encode((how, recipe.augment, recipe.labels, parts))).hexdigest()


def _done(out: Path, steps: int, mark: str) -> list[Tuned] | None:
    """All steps of this very run, where they are there."""
    found = []
    for step in range(1, steps + 1):
        told = read_json(out / f"step-{step}" / NOTE, Tuned)
        if told is None or told.fingerprint != mark:
            return None
        found.append(told)
    return found if (out / TUNED).exists() else None
