"""The loop that pretraining and fine-tuning share: seeded by the step, resumable at any, over processes.

What is drawn in a step depends on its number alone, so that a run that was killed and goes on ends in the
same weights as one that was not, bit for bit on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from training.checkpoint import Checkpoints
from training.errors import TrainingError

_SEED_STEP = 1_000_003
_BETAS = (0.9, 0.95)

Batch = tuple[torch.Tensor, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """AdamW under a rate that rises over the first `warmup` of the steps, then falls as `decay` says.

    floor: share of the rate that is left at the end. weight_decay: decoupled, of matrices alone.
    """

    steps: int
    learning_rate: float
    warmup: float
    decay: str = "linear"
    floor: float = 0.0
    weight_decay: float = 0.0
    gradient_norm: float = 1.0
    seed: int = 0

    def rate(self, step: int) -> float:
        rise = max(1, round(self.warmup * self.steps))
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        past = (step - rise) / max(1, self.steps - rise)
        fall = {"linear": 1 - past, "cosine": (1 + math.cos(math.pi * past)) / 2, "none": 1.0}[self.decay]
        return self.learning_rate * (self.floor + (1 - self.floor) * fall)


class Steps:
    """Owns optimiser and position. module: its forward takes a part of a step's batch and gives its loss."""

    def __init__(
        self,
        module: torch.nn.Module,
        schedule: Schedule,
        checkpoints: Checkpoints,
        fingerprint: str,
        accelerator: Accelerator,
        *,
        every_s: float = 120.0,
        every: int = 0,
        bf16: bool = False,
    ) -> None:
        """fingerprint: of all that decides the run; a checkpoint of another raises TrainingError.

        every_s, every: seconds and steps between checkpoints; 0 steps: by time alone. bf16: products of
        matrices in bfloat16, weights stay float32.
        """
        self.step = 0
        self._module = module.to(accelerator.device)
        self._schedule = schedule
        self._checkpoints = checkpoints
        self._fingerprint = fingerprint
        self._accelerator = accelerator
        self._every_s, self._every = every_s, every
        self._bf16 = bf16
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        matrices = [p for p in self._trained.values() if p.ndim > 1]
        others = [p for p in self._trained.values() if p.ndim <= 1]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": schedule.weight_decay},
                {"params": others, "weight_decay": 0},
            ],
            lr=schedule.learning_rate,
            betas=_BETAS,
        )
        self._resume()

    def run(
        self,
        until: int,
        parts: Callable[[int], Sequence[Batch]],
        title: str,
        penalty: Callable[[], None] | None = None,
    ) -> None:
        """Up to step `until`. parts: a step's batch; the losses of its parts add up to the step's.

        penalty: adds the gradient of further terms.
        """
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        bar = tqdm(
            total=until, initial=self.step, desc=title, unit="step", mininterval=1.0, disable=process > 0
        )
        saved = time.monotonic()
        self._module.train()
        while self.step < until:
            torch.manual_seed(self._schedule.seed * _SEED_STEP + self.step * processes + process)
            loss = torch.zeros((), device=self._accelerator.device)
            for part in parts(self.step)[process::processes]:
                with torch.autocast(self._accelerator.device.type, torch.bfloat16, enabled=self._bf16):
                    share = self._module(*(t.to(self._accelerator.device) for t in part))
                share.backward()
                loss += share.detach()
            self._gather()
            if penalty is not None:
                penalty()
            torch.nn.utils.clip_grad_norm_(list(self._trained.values()), self._schedule.gradient_norm)
            for group in self._optimiser.param_groups:
                group["lr"] = self._schedule.rate(self.step)
            self._optimiser.step()
            self._optimiser.zero_grad()
            self.step += 1
            bar.update()
            bar.set_postfix(loss=f"{loss.item() * processes:.3f}", refresh=False)
            due = self._every and self.step % self._every == 0
            if self.step < until and (due or time.monotonic() - saved > self._every_s):
                self.save()
                saved = time.monotonic()
        bar.close()
        self._module.eval()

    def save(self) -> None:
        if self._accelerator.is_main_process:
            self._checkpoints.save(
                self.step,
                {
                    "fingerprint": self._fingerprint,
                    "step": self.step,
                    "weights": {name: p.detach() for name, p in self._trained.items()},
                    "optimiser": self._optimiser.state_dict(),
                },
            )

    def _resume(self) -> None:
        state: dict[str, Any] | None = self._checkpoints.newest()
        if state is None:
            return
        if state["fingerprint"] != self._fingerprint:
            raise TrainingError(
                f"{self._checkpoints.folder}: was begun with other settings, texts or weights: "
                "delete it to begin anew, or give another --out"
            )
        with torch.no_grad():
            for name, p in self._trained.items():
                p.copy_(state["weights"][name])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])

    def _gather(self) -> None:
        """Sums gradients over processes: each has computed other parts of the batch, or none."""
        if self._accelerator.num_processes == 1:
            return
        trained = list(self._trained.values())
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])
        flat = self._accelerator.reduce(flat, reduction="sum")
        for p, grad in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            p.grad = grad.view_as(p).clone()
