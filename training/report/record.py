"""What a report holds, as one record: `report.json`. Measured times stand apart: they differ by the run."""

from __future__ import annotations

import msgspec

from training.evaluation.checks import Check, Pair
from training.evaluation.run import NotRun
from training.evaluation.summary import Figures


class Timing(msgspec.Struct, frozen=True):
    """All that a repetition will not give again, in seconds; the machine it was measured on."""

    answers: dict[str, float]
    """Median of one answer, by `protocol/variant/system`."""
    language: dict[str, float]
    """Mean of one written answer, by the step's name and the way it was asked."""
    machine: str


class Asked(msgspec.Struct, frozen=True):
    """A model asked in one way. top_k: 0 for scoring the labels, nothing being written."""

    top_k: int
    windows: int
    unparsable: int
    """Answers in which no label was found: they count as wrong."""
    nine_f1: float | None
    three_f1: float | None
    f1: float
    """Over the recipe's labels."""


class Step(msgspec.Struct, frozen=True):
    """A row of Table I: a checkpoint of a fine-tuned language model, on people it never saw."""

    compression: str
    """`W` or `W→S`, as the paper calls them."""
    model: str
    strategy: int
    """1: fine-tuned at once; 2: trained on text first. 0: the base, not pruned."""
    step: int
    parameters: int
    bytes_bf16: int
    epochs: float
    asked: list[Asked]


class Clustered(msgspec.Struct, frozen=True):
    """How clusters of prompts agree with labels and with people: adjusted Rand index, 0 is chance."""

    compression: str
    embedding: str
    method: str
    labels: float
    people: float
    picture: str


class Report(msgspec.Struct, frozen=True):
    recipe: str
    labels: tuple[str, ...]
    quick: bool
    people: int
    windows: int
    figures: list[Figures]
    checks: list[Check]
    pairs: dict[str, list[Pair]]
    language: list[Step]
    language_told: str
    clusters: list[Clustered]
    missing: list[NotRun]
    discussion: list[str]
    timing: Timing
