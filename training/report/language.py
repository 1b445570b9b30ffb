"""The paper's own way, small: a base pretrained on text, pruned, fine-tuned on prompts in steps, then asked.

Strategy 1 tunes the pruned model at once; strategy 2 trains it on text first. Each chain of steps is a file
of its own, so that a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pipeline import prompt
from pipeline.whole import as_json, write_whole
from training.answers import emotion_of
from training.corpora.clips import EMOTIONS, VALENCES
from training.corpus import Example
from training.evaluation.material import Material, Place
from training.evaluation.measures import Int64, f1_of
from training.evaluation.part import evenly
from training.evaluation.run import NotRun
from training.evaluation.variants import prompts, variant_of
from training.lm_settings import PRESETS, Lora, Pretrain
from training.recipe import Recipe
from training.report.record import Asked, Step
from training.workers import workers

if TYPE_CHECKING:
    from training.bases import Base

# The paper's names for its two compressions (section IV-B).
COMPRESSIONS = {"w500x10-approx": "W→S", "w50-approx": "W"}
TOP_K = (1, 50)
_VALENCE = dict(zip(EMOTIONS, VALENCES, strict=True))
_TIMED = 8
_VERSION = 2


class Size(msgspec.Struct, frozen=True):
    """How much is done. taught: prompts of the people not held out; asked: prompts of those held out."""

    people_held_out: int
    taught: int
    asked: int
    steps: int
    epochs: float
    base_steps: int
    """Of the optimiser, of the base on text; the recovery of strategy 2 takes as many."""
    answer_tokens: int


FULL = Size(people_held_out=6, taught=72, asked=54, steps=5, epochs=1, base_steps=150, answer_tokens=16)
QUICK = Size(people_held_out=1, taught=9, asked=9, steps=1, epochs=1, base_steps=2, answer_tokens=4)


class Chain(msgspec.Struct, frozen=True):
    """One row of checkpoints, done: what it was made from, its steps, and the seconds of an answer."""

    fingerprint: str
    steps: list[Step]
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Language:
    """models: folder of the last checkpoint by name, with the compression whose prompts it reads."""

    steps: list[Step] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    told: str = ""
    models: dict[str, tuple[str, Path]] = field(default_factory=dict)
    missing: list[NotRun] = field(default_factory=list)

    @classmethod
    def none(cls, why: str) -> Language:
        return cls(told=why, missing=[NotRun("Tables I and II, Figure 11: fine-tuned language models", why)])


@dataclass(frozen=True, slots=True)
class _Task:
    place: Place
    compression: str
    strategy: int
    size: Size

    @property
    def name(self) -> str:
        return f"{self.compression}-strategy{self.strategy}" if self.strategy else f"{self.compression}-base"

    @property
    def folder(self) -> Path:
        return self.place.out / "language" / self.name


def run_language(place: Place, jobs: int, *, quick: bool) -> Language:
    """Raises TrainingError, one line. The corpora are there already."""
    recipe = place.recipe
    if not set(recipe.labels) <= set(EMOTIONS) | set(VALENCES):
        return Language.none("the paper's nine or three emotions are not what this corpus shows")
    there = [name for name in COMPRESSIONS if name in recipe.evaluate.compressions]
    if not there:
        return Language.none("neither of the paper's compressions is among the recipe's")
    size = QUICK if quick else FULL
    tasks = [_Task(place, name, strategy, size) for name in there for strategy in (1, 2, 0)]
    with workers(jobs) as pool:
        pool.do(_bases, [(place, size)], "base models", "set", name=_language)
        pool.do(_chain, tasks, "language models", "chain", name=attrgetter("name"))
    found = [_read(task) for task in tasks]
    return Language(
        steps=[step for chain in found for step in chain.steps],
        seconds={key: value for chain in found for key, value in chain.seconds.items()},
        told=_told(size, recipe),
        models={
            f"{COMPRESSIONS[task.compression]}, strategy {task.strategy}": (
                task.compression,
                task.folder / f"step-{size.steps}",
            )
            for task in tasks
            if task.strategy
        },
    )


def _told(size: Size, recipe: Recipe) -> str:
    return (
        f"Shortened so that two cores are enough: a base of the shape `tiny`, {size.base_steps} updates on "
        f"the guidance base's text, pruned by 0.5; then LoRA on {size.taught} prompts, "
        f"{size.steps} steps of {size.epochs:g} epochs (`recovered` preset: at the paper's rate and dropout "
        f"a pruned model hardly moves), then {size.asked} prompts of {size.people_held_out} people "
        f"held out, up to {size.answer_tokens} tokens an answer. W tells a window in one prompt; W→S in ten, "
        "one a segment, of which as many are drawn as of W, evenly over all windows and segments, each "
        "answered by itself. Rows named base are neither pruned nor recovered. The sizes "
        "are not the paper's: the layout is."
    )


def _language(_: object) -> str:
    return "language models"


def _bases(told: tuple[Place, Size]) -> None:
    """base, pruned and recovered; each function goes on by itself or finds its result done."""
    from accelerate import Accelerator

    from training.bases import open_base
    from training.lm_settings import Prune
    from training.pretrain import from_scratch, pretrain
    from training.pruning.prune import prune_base

    place, size = told
    folder = place.out / "language"
    texts = folder / "texts"
    _write_texts(texts)
    how = Pretrain(
        shape="tiny",
        vocabulary=2048,
        context=128,
        learning_rate=2e-3,
        held_out=0.1,
        measured=16,
        seed=place.recipe.seed,
    )
    accelerator = Accelerator(cpu=True)
    base = from_scratch(how, texts, place.recipe.labels)
    pretrain(base, how, texts, folder / "base", accelerator, most_steps=size.base_steps)
    if not (folder / "pruned" / "pruning.json").is_file():
        prune_base(open_base(folder / "base"), Prune(ratio=0.5), folder / "pruned", None, None)
    pruned = open_base(folder / "pruned")
    pretrain(pruned, how, texts, folder / "recovered", accelerator, most_steps=size.base_steps)


def _write_texts(folder: Path) -> None:
    """What text the house holds: the guidance base, a document an entry."""
    from pipeline.guidance.entries import load_entries, shipped_entries

    entries = sorted(load_entries(shipped_entries()), key=lambda entry: entry.id)
    told = b"\n".join(
        msgspec.json.encode({"text": f"{entry.title}\n{entry.text}\n{entry.recommendation}"})
        for entry in entries
    )
    path = folder / "guidance.jsonl"
    if not path.is_file() or path.read_bytes() != told:
        write_whole(path, told)


def _chain(task: _Task) -> None:
    """Fine-tunes and asks every checkpoint; nothing is done where it is done."""
    import torch
    from accelerate import Accelerator

    from training.bases import open_base
    from training.finetune import finetune

    how = _lora(task)
    mark = _mark(task)
    if _done(task, mark):
        return
    torch.set_num_threads(1)
    recipe, _, _ = task.place.corpus(variant_of(task.place.recipe, task.compression))
    taught, asked = _examples(task)
    start = {0: "base", 1: "pruned", 2: "recovered"}[task.strategy]
    base = open_base(task.place.out / "language" / start)
    learnt = finetune(base, recipe, how, taught, task.folder, Accelerator(cpu=True))
    steps: list[Step] = []
    seconds: dict[str, float] = {}
    for told in learnt if task.strategy else learnt[-1:]:
        model = open_base(task.folder / f"step-{told.step}")
        kind = f"checkpoint{task.strategy}-{told.step}" if task.strategy else "base_model"
        name = f"{COMPRESSIONS[task.compression]} {kind}"
        step, took = _ask(model, recipe, asked, task, name, told.step, told.step * how.epochs)
        steps.append(step)
        seconds |= took
    chain = Chain(mark, steps, seconds)
    write_whole(task.folder / "answers.json", as_json(chain))


def _lora(task: _Task) -> Lora:
    return msgspec.structs.replace(
        PRESETS["recovered"],
        steps=task.size.steps,
        epochs=task.size.epochs,
        held_out=0,
        thin=1,
        augment=False,
        seed=task.place.recipe.seed,
    )


def _mark(task: _Task) -> str:
    """Of everything that decides a chain."""
    variant = variant_of(task.place.recipe, task.compression)
    told = (
        _VERSION,
        task.compression,
        task.strategy,
        task.size,
        _lora(task),
        task.place.fingerprint(variant),
    )
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _done(task: _Task, mark: str) -> bool:
    try:
        return _read(task).fingerprint == mark
    except (OSError, msgspec.DecodeError):
        return False


def _read(task: _Task) -> Chain:
    return msgspec.json.decode((task.folder / "answers.json").read_bytes(), type=Chain)


def _examples(task: _Task) -> tuple[list[Example], list[Example]]:
    """Prompts to learn from and to ask about: each label as often, evenly over the people of its side."""
    recipe = task.place.recipe
    found = [
        one
        for example in Material(task.place).examples(variant_of(recipe, task.compression))
        if not example.shifted
        for one in prompts(example)
    ]
    people = sorted({example.subject for example in found})
    aside = np.random.default_rng(recipe.seed).permutation(people)[: task.size.people_held_out].tolist()
    taught: list[Example] = []
    asked: list[Example] = []
    for label in recipe.labels:
        for side, most, held in ((taught, task.size.taught, False), (asked, task.size.asked, True)):
            some = [e for e in found if e.label == label and (e.subject in aside) == held]
            side += [some[i] for i in evenly(len(some), max(1, most // len(recipe.labels)))]
    return taught, asked


def _ask(
    base: Base, recipe: Recipe, examples: Sequence[Example], task: _Task, name: str, step: int, epochs: float
) -> tuple[Step, dict[str, float]]:
    from training.generation import respond
    from training.label_scores import label_scores

    questions = [prompt.question(one.window, one.person) for one in examples]
    labels = np.array([recipe.labels.index(one.label) for one in examples])
    scored = label_scores(base.model, base.tokenizer, questions, recipe.labels, rows=4)
    found = [_asked(recipe, 0, labels, scored.argmax(axis=1))]
    begun = time.perf_counter()
    for question in questions[:_TIMED]:
        label_scores(base.model, base.tokenizer, [question], recipe.labels)
    seconds = {f"{name}/label scoring": (time.perf_counter() - begun) / len(questions[:_TIMED])}
    for top_k in TOP_K:
        answers = respond(
            base.model,
            base.tokenizer,
            questions,
            top_k=top_k,
            max_tokens=task.size.answer_tokens,
            seed=recipe.seed,
        )
        said = [emotion_of(answer.text, recipe.labels) for answer in answers]
        guess = np.array([-1 if one is None else recipe.labels.index(one) for one in said])
        found.append(_asked(recipe, top_k, labels, guess))
        seconds[f"{name}/top-k {top_k}"] = float(np.mean([answer.seconds for answer in answers]))
    parameters = sum(p.numel() for p in base.model.parameters())
    return (
        Step(
            compression=COMPRESSIONS[task.compression],
            model=name,
            strategy=task.strategy,
            step=step,
            parameters=parameters,
            bytes_bf16=2 * parameters,
            epochs=epochs,
            asked=found,
        ),
        seconds,
    )


def _asked(recipe: Recipe, top_k: int, labels: Int64, guess: Int64) -> Asked:
    n = len(recipe.labels)
    f1 = f1_of(labels, guess, n)
    nine = set(recipe.labels) == set(EMOTIONS)
    three: float | None = f1 if set(recipe.labels) == set(VALENCES) else None
    if nine:
        # As in the paper: the same answers, told in valences.
        names = sorted(set(VALENCES))
        group = np.array([names.index(_VALENCE[label]) for label in recipe.labels])
        three = f1_of(group[labels], np.where(guess < 0, -1, group[guess]), len(names))
    return Asked(
        top_k=top_k,
        windows=len(labels),
        unparsable=int((guess < 0).sum()),
        nine_f1=f1 if nine else None,
        three_f1=three,
        f1=f1,
    )
