"""Full training on public text with L1 and L2 terms: of a small base from scratch, or of a pruned one.

The second is the first half of the paper's strategy 2. With a teacher, the model also learns the teacher's
distribution over the next token (Hinton et al., 2015).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import PreTrainedModel

from pipeline.whole import as_json, read_json
from training import tokenizer as domain
from training.bases import Base, end_of_text, fresh, save_base, shape
from training.checkpoint import Checkpoints
from training.errors import TrainingError
from training.lm_settings import Pretrain
from training.perplexity import Foretold, foretell, rows
from training.steps import Batch, Schedule, Steps
from training.texts import Packed, documents, pack

NOTE = "pretrain.json"
# Rows that are computed at once.
_AT_ONCE = 4
_FLOOR = 0.1


class Pretrained(msgspec.Struct, frozen=True, kw_only=True):
    """`pretrain.json`. fingerprint: of what decided the run. before, after: on held-out text."""

    fingerprint: str
    settings: Pretrain
    steps: int
    tokens_seen: int
    train_tokens: int
    held_out_tokens: int
    parameters: int
    before: Foretold
    after: Foretold


class _TextLoss(nn.Module):
    """Rows of tokens to their share of the step's mean loss."""

    def __init__(self, model: PreTrainedModel, rows: int, teacher: PreTrainedModel | None, share: float):
        super().__init__()
        self.model = model
        self._rows = rows
        # In a list, so that its weights are not counted as this module's.
        self._teacher = [teacher.requires_grad_(False)] if teacher is not None else []
        self._share = share

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        logits = self.model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1).float()
        loss = cross_entropy(logits, ids[:, 1:].flatten())
        for teacher in self._teacher:
            with torch.no_grad():
                wanted = teacher(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1).float()
            gap = kl_div(
                log_softmax(logits, -1), log_softmax(wanted, -1), log_target=True, reduction="batchmean"
            )
            loss = (1 - self._share) * loss + self._share * gap
        return loss * (len(ids) / self._rows)


def from_scratch(how: Pretrain, texts: Path, labels: Sequence[str]) -> Base:
    """A tokenizer made for the prompt and these texts, and random weights of the recipe's shape."""
    words = domain.train(labels, documents(texts), how.vocabulary)
    return Base(fresh(shape(how.shape, words), how.seed), words)


def pretrain(
    base: Base,
    how: Pretrain,
    texts: Path,
    out: Path,
    accelerator: Accelerator,
    *,
    teacher: Base | None = None,
    every_s: float = 120.0,
    every: int = 0,
    bf16: bool = False,
    most_steps: int = 0,
) -> Pretrained:
    """Goes on from a checkpoint of the same run; writes the folder `out`. Raises TrainingError.

    most_steps: ends the run early, its rate falling as if it were whole; 0: never.
    """
    if teacher is not None and teacher.tokenizer.to_str() != base.tokenizer.to_str():
        raise TrainingError("the teacher has another tokenizer: trim its vocabulary in the same way")
    working = out.with_name(f"{out.name}-steps")
    with accelerator.main_process_first():
        packed = pack(texts, base.tokenizer, end_of_text(base), how.held_out, working)
    n_rows = len(packed.train) // how.context
    if not n_rows:
        raise TrainingError(f"{texts}: {len(packed.train)} tokens are less than one context of {how.context}")
    steps = max(1, round(how.epochs * n_rows / how.batch))
    steps = min(steps, most_steps) if most_steps else steps
    mark = _mark(base, how, packed, steps, teacher)
    done = _done(out, mark)
    if done is not None:
        return done
    schedule = Schedule(
        steps, how.learning_rate, how.warmup, "cosine", _FLOOR, gradient_norm=1.0, seed=how.seed
    )
    model = base.model.to(accelerator.device)
    if teacher is not None:
        teacher.model.to(accelerator.device).eval()
    measured = rows(packed.held_out, how.context, how.measured)
    before = foretell(model, base.tokenizer, measured)
    checkpoints = Checkpoints(working / "checkpoints")
    loss = _TextLoss(model, how.batch, teacher.model if teacher else None, how.teacher_share)
    loop = Steps(loss, schedule, checkpoints, mark, accelerator, every_s=every_s, every=every, bf16=bf16)
    loop.run(steps, lambda step: _batch(packed, how, n_rows, step), "text", _Penalty(model, how))
    told = Pretrained(
        fingerprint=mark,
        settings=how,
        steps=steps,
        tokens_seen=steps * how.batch * how.context,
        train_tokens=len(packed.train),
        held_out_tokens=len(packed.held_out),
        parameters=sum(p.numel() for p in model.parameters()),
        before=before,
        after=foretell(model, base.tokenizer, measured),
    )
    if accelerator.is_main_process:
        save_base(base, out, {NOTE: as_json(told)})
        checkpoints.clear()
    accelerator.wait_for_everyone()
    return told


class _Penalty:
    """Adds the gradient of l1·Σ|w| + l2·Σw² over all matrices; a tied one counts once."""

    def __init__(self, model: PreTrainedModel, how: Pretrain) -> None:
        self._matrices = [p for p in model.parameters() if p.ndim > 1]
        self._l1, self._l2 = how.l1, how.l2

    @torch.no_grad()
    def __call__(self) -> None:
        for p in self._matrices:
            if p.grad is not None:
                p.grad.add_(p.sign(), alpha=self._l1).add_(p, alpha=2 * self._l2)


def _batch(packed: Packed, how: Pretrain, n_rows: int, step: int) -> list[Batch]:
    """The rows of one step: each epoch in an order of its own."""
    drawn = []
    for k in range(step * how.batch, (step + 1) * how.batch):
        epoch, place = divmod(k, n_rows)
        at = _order(how.seed, epoch, n_rows)[place] * how.context
        drawn.append(torch.from_numpy(packed.train[at : at + how.context].astype(np.int64)))
    return [(torch.stack(drawn[i : i + _AT_ONCE]),) for i in range(0, len(drawn), _AT_ONCE)]


# One step may span two epochs.
@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng([seed, epoch]).permutation(n)


def _mark(base: Base, how: Pretrain, packed: Packed, steps: int, teacher: Base | None) -> str:
    """Of the settings, the texts and the weights that it begins from."""
    parts = [weights_sha256(base.model), packed.told.fingerprint, str(steps)]
    if teacher is not None:
        parts.append(weights_sha256(teacher.model))
    return hashlib.sha256(msgspec.json.encode((how, parts))).hexdigest()


def weights_sha256(model: PreTrainedModel) -> str:
    told = hashlib.sha256()
    for p in model.parameters():
        told.update(p.detach().cpu().numpy().tobytes())
    return told.hexdigest()


def _done(out: Path, mark: str) -> Pretrained | None:
    """The result, where it is there already."""
    told = read_json(out / NOTE, Pretrained)
    return told if told is not None and told.fingerprint == mark else None
