"""Layers that change the residual least are left out (block influence; Men et al., arXiv 2403.03853)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import cosine_similarity
from transformers import PreTrainedModel

from training.errors import TrainingError


@torch.inference_mode()
def influence(model: PreTrainedModel, rows: Sequence[torch.Tensor]) -> list[float]:
    """1 − cosine of the residual before and after each layer, mean over tokens."""
    total = torch.zeros(model.config.num_hidden_layers)
    states: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0][0].clone()))
        for layer in (*model.model.layers, model.model.norm)
    ]
    for row in rows:
        states.clear()
        model(input_ids=row[None], use_cache=False)
        total += torch.stack([1 - cosine_similarity(a, b, dim=-1).mean() for a, b in pairwise(states)])
    for hook in hooks:
        hook.remove()
    return [float(x) for x in total / len(rows)]


def drop_layers(model: PreTrainedModel, n: int, rows: Sequence[torch.Tensor]) -> list[int]:
    """In place; returns the numbers of the layers dropped. Raises TrainingError where none would be left."""
    layers = model.model.layers
    if n >= len(layers):
        raise TrainingError(f"{n} of {len(layers)} layers cannot be dropped: keep at least one")
    told = influence(model, rows)
    gone = sorted(range(len(layers)), key=told.__getitem__)[:n]
    kept = [i for i in range(len(layers)) if i not in gone]
    model.model.layers = nn.ModuleList(layers[i] for i in kept)
    for number, layer in enumerate(model.model.layers):
        # The cache is addressed by it.
        layer.self_attn.layer_idx = number
    model.config.num_hidden_layers = len(kept)
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = [model.config.layer_types[i] for i in kept]
    return sorted(gone)
