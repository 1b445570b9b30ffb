"""The recipe's `[pretrain]`, `[prune]` and `[lora]` sections. Values that are not given are the paper's."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Rate = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]


class Pretrain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All weights on public text (paper, section IV-A: rate 1e-5, 40 epochs, L1 and L2 terms)."""

    shape: str = "small"
    """Of a base from scratch: tiny, small, qwen2-0.5b, smollm2-135m, or a config.json."""
    vocabulary: Count = 8192
    """Tokens of a domain tokenizer that is made for a base from scratch."""
    context: Annotated[int, msgspec.Meta(ge=8)] = 512
    """Tokens of one row of text."""
    batch: Count = 8
    """Rows a step, over all processes."""
    epochs: Annotated[float, msgspec.Meta(gt=0)] = 40.0
    learning_rate: Rate = 1e-5
    warmup: Share = 0.03
    """Share of the steps in which the rate rises."""
    l1: Weight = 1e-8
    l2: Weight = 1e-6
    """Of the sums of |w| and w² over all matrices. The paper gives no weights: at these the two terms are
    some hundredths of the loss of a 135 M model."""
    held_out: Share = 0.02
    """Share of the documents that perplexity is measured on and that training never sees."""
    measured: Count = 64
    """Rows of held-out text that perplexity is measured on."""
    teacher_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    """With a teacher: weight of its distribution against the text's."""
    seed: int = 20


class Prune(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Structural pruning (paper, section III-B: ratio 0.5, group L2)."""

    ratio: Share = 0.5
    """Of each width; 0 leaves the widths alone."""
    importance: Literal["group-l2", "taylor", "activation"] = "group-l2"
    attention: Literal["auto", "heads", "head-dim"] = "auto"
    """Whole groups of heads, or numbers within each head; auto takes heads where the ratio fits."""
    drop_layers: Natural = 0
    vocabulary: Natural = 0
    """With --trim-vocabulary: tokens to keep at most, by frequency; 0 keeps all that the texts need."""
    measured: Count = 32
    """Rows of 256 tokens that taylor, activation and drop_layers look at."""
    seed: int = 20


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fine-tuning on prompts (paper, section IV-A). Also steers `--method full`."""

    r: Count = 8
    alpha: Count = 32
    dropout: Share = 0.5
    learning_rate: Rate = 1e-5
    weight_decay: Weight = 0.01
    warmup: Share = 0.05
    """Share of the steps in which the rate rises."""
    gradient_norm: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    decay: Literal["linear", "cosine", "none"] = "linear"
    """How the rate falls after the warm-up. "Gradient decay", which the paper does not explain, is read as
    this fall of the rate together with `gradient_norm`, the bound on a step's gradient."""
    steps: Count = 5
    epochs: Annotated[float, msgspec.Meta(gt=0)] = 3.0
    """A step, after which a checkpoint is written."""
    batch: Count = 8
    """Prompts a step of the optimiser, over all processes."""
    rows: Count = 8
    """Prompts that are computed at once; fewer take less memory and change no result but rounding."""
    words: bool = False
    """Tunes the embeddings of the prompt's own words too."""
    answer: Literal["whole", "label"] = "whole"
    """Emotion, diagnosis and treatment, or the emotion alone."""
    balance: bool = False
    """Draws labels equally often; else each example once an epoch."""
    augment: bool = False
    """As the recipe's [augment] says."""
    thin: Count = 1
    """Every so many windows of a sitting: neighbours share most of their samples."""
    held_out: Natural = 0
    """People whom training never sees and on whom each checkpoint is measured."""
    seed: int = 20


PRESETS: dict[str, Lora] = {
    "paper": Lora(),
    # Measured on pruned models: at the paper's rate and dropout the loss hardly moves.
    "recovered": Lora(learning_rate=2e-3, dropout=0.05, words=True, balance=True, augment=True),
    "recovered-full": Lora(learning_rate=1e-3, dropout=0.0, balance=True, augment=True),
}
