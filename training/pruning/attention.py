"""Attention under grouped queries: what can be cut alike in all layers, and the cut.

torch-pruning 1.6.1 follows the repeated key and value heads in circles where their number of query heads is
even, and lowers out_features too far where it is not. So this group is written out: q and o by query heads, k
and v by the heads that they share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning as tp
from torch import nn
from transformers import PretrainedConfig

from training.errors import TrainingError
from training.pruning.importance import Activation, Importance


@dataclass(frozen=True, slots=True)
class Heads:
    """heads, kv_heads: their numbers. dim: numbers in each, of which i and i + dim/2 are turned together."""

    heads: int
    kv_heads: int
    dim: int

    @classmethod
    def of(cls, config: PretrainedConfig) -> Heads:
        heads = config.num_attention_heads
        dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(heads, config.num_key_value_heads or heads, dim)

    @property
    def queries(self) -> int:
        """Query heads that share one key and value head."""
        return self.heads // self.kv_heads


@dataclass(frozen=True, slots=True)
class HeadCut:
    """pairs: rotary pairs that every head keeps; all, where whole groups of heads go.

    exact: the angles that the smaller heads will turn by are those that their pairs were trained with.
    """

    before: Heads
    after: Heads
    pairs: tuple[int, ...]
    exact: bool


def plan(heads: Heads, ratio: float, how: str) -> HeadCut:
    """how: auto, heads or head-dim. Raises TrainingError where the heads do not allow it."""
    groups = heads.kv_heads * (1 - ratio)
    whole = round(groups) >= 1 and abs(groups - round(groups)) < 1e-9
    if how == "heads" and not whole:
        raise TrainingError(
            f"{heads.kv_heads} key and value heads cannot be cut by {ratio:g} ({groups:g} would be left): "
            "take another ratio, or attention = head-dim"
        )
    half = heads.dim // 2
    if whole and how != "head-dim":
        after = Heads(round(groups) * heads.queries, round(groups), heads.dim)
        return HeadCut(heads, after, tuple(range(half)), exact=True)
    kept = round(half * (1 - ratio))
    if heads.dim % 2 or kept < 1:
        raise TrainingError(
            f"heads of {heads.dim} cannot be cut by {ratio:g}: no rotary pair would be left, "
            "take a smaller ratio"
        )
    # Smaller heads turn pair i by theta^(-i/kept), as pair i·half/kept of the larger ones did.
    pairs = tuple(round(i * half / kept) for i in range(kept))
    after = Heads(heads.heads, heads.kv_heads, 2 * kept)
    return HeadCut(heads, after, pairs, exact=half % kept == 0)


def cut(attention: Any, plan: HeadCut, importance: Importance) -> None:
    """One layer's attention, in place; its own figures included."""
    q, k, v, o = attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj
    before, after = plan.before, plan.after
    if after.kv_heads < before.kv_heads:
        counts = _groups(importance, (q, k, v, o), before)
        kept = counts.argsort(descending=True)[: after.kv_heads].sort().values
    else:
        kept = torch.arange(before.kv_heads)
    dims = torch.tensor([*plan.pairs, *(pair + before.dim // 2 for pair in plan.pairs)])
    shared = _numbers(kept, dims, before.dim)
    asking = _numbers(
        (kept[:, None] * before.queries + torch.arange(before.queries)).flatten(), dims, before.dim
    )
    for layer, numbers in ((q, asking), (k, shared), (v, shared)):
        tp.prune_linear_out_channels(layer, _others(numbers, layer.out_features))
    tp.prune_linear_in_channels(o, _others(asking, o.in_features))
    if isinstance(importance, Activation):
        importance.keep(o, asking)
    attention.head_dim = after.dim
    attention.num_key_value_groups = after.queries
    attention.scaling = after.dim**-0.5


def _groups(
    importance: Importance, layers: tuple[nn.Linear, nn.Linear, nn.Linear, nn.Linear], heads: Heads
) -> torch.Tensor:
    """Of each key and value head with its query heads: (kv_heads,)."""
    q, k, v, o = layers
    by_row = [importance(layer).sum(dim=1).view(heads.kv_heads, -1).sum(dim=1) for layer in (q, k, v)]
    return sum(by_row, importance(o).sum(dim=0).view(heads.kv_heads, -1).sum(dim=1))


def _numbers(heads: torch.Tensor, dims: torch.Tensor, dim: int) -> torch.Tensor:
    return (heads[:, None] * dim + dims).flatten()


def _others(kept: torch.Tensor, n: int) -> list[int]:
    return sorted(set(range(n)) - set(kept.tolist()))
