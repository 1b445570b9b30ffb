"""How much each channel of a group of layers counts: one number a channel, the least are cut.

Group L2 is the paper's (arXiv 2410.00166, formulas 3 to 6): the sum of the squared weights of all matrices in
the group, norms and biases left out. Taylor is the first-order change of the loss (Molchanov et al., CVPR
2019), activation the squared weights times the mean square of what runs into them (Sun et al., ICLR 2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import nn
from transformers import PreTrainedModel

from training.errors import TrainingError


class Importance(Protocol):
    """Elementwise, of a layer's matrix: same shape as its weight."""

    def __call__(self, layer: nn.Module) -> torch.Tensor: ...


def group_l2(layer: nn.Module) -> torch.Tensor:
    """w²."""
    return _weight(layer).detach().float().square()


class Taylor:
    """|w · dL/dw| on rows of tokens. The gradients stay with the weights and are cut with them."""

    def __init__(self, model: PreTrainedModel, rows: Sequence[torch.Tensor]) -> None:
        model.zero_grad()
        for row in rows:
            model(input_ids=row[None], labels=row[None], use_cache=False).loss.backward()

    def __call__(self, layer: nn.Module) -> torch.Tensor:
        weight = _weight(layer)
        if weight.grad is None:
            raise TrainingError("no gradient reached a layer: Taylor importance needs text")
        return (weight.detach() * weight.grad).abs()


class Activation:
    """w² · E[x²] with x the layer's input over rows of tokens. An embedding, which has none, counts by w²."""

    def __init__(self, model: PreTrainedModel, rows: Sequence[torch.Tensor]) -> None:
        self._square: dict[nn.Module, torch.Tensor] = {}
        hooks = [
            layer.register_forward_pre_hook(self._see)
            for layer in model.modules()
            if isinstance(layer, nn.Linear)
        ]
        with torch.inference_mode():
            for row in rows:
                model(input_ids=row[None], use_cache=False)
        for hook in hooks:
            hook.remove()
        self._square = {layer: (x / len(rows)).clone() for layer, x in self._square.items()}

    def __call__(self, layer: nn.Module) -> torch.Tensor:
        square = self._square.get(layer)
        weight = _weight(layer).detach().float().square()
        return weight if square is None else weight * square

    def keep(self, layer: nn.Module, inputs: torch.Tensor) -> None:
        """After a cut: only these inputs are left."""
        if layer in self._square:
            self._square[layer] = self._square[layer][inputs]

    def _see(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        mean = inputs[0].float().square().flatten(0, -2).mean(dim=0)
        self._square[layer] = self._square.get(layer, torch.zeros_like(mean)) + mean


def channels(importance: Importance, members: Iterable[tuple[nn.Module, bool]], n: int) -> torch.Tensor:
    """Summed over a group's layers: (n,). members: a layer, and whether the channels are its outputs."""
    total = torch.zeros(n)
    for layer, outputs in members:
        rows_are_outputs = isinstance(layer, nn.Linear)
        total += importance(layer).sum(dim=1 if outputs and rows_are_outputs else 0)
    return total


def _weight(layer: nn.Module) -> torch.Tensor:
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight
