"""All widths of a model by one ratio: attention, MLP, residual stream; lm_head's outputs stay.

Groups are found over torch-pruning's dependency graph (Fang et al., CVPR 2023), as in the paper's Algorithm
1, and the channels that count least are cut from every member, as in Algorithm 2. Every layer is cut to the
same width, which is what stock transformers can load.
"""

from __future__ import annotations

import warnings

import torch
import torch_pruning as tp
from torch import nn
from transformers import PreTrainedModel

from training.errors import TrainingError
from training.pruning import attention
from training.pruning.attention import HeadCut, Heads
from training.pruning.importance import Activation, Importance, channels

_TRACED = 8  # tokens; any text does
_OUTPUTS = (tp.prune_linear_out_channels, tp.prune_embedding_out_channels)


def prune_widths(model: PreTrainedModel, ratio: float, how: str, importance: Importance) -> HeadCut:
    """In place; configuration, rotary angles and tied weights tell the truth afterwards.

    Raises TrainingError where ratio and heads do not fit, before anything is cut.
    """
    config = model.config
    heads = attention.plan(Heads.of(config), ratio, how)
    hidden, inner = _kept(config.hidden_size, ratio), _kept(config.intermediate_size, ratio)
    tied = config.tie_word_embeddings
    config.use_cache = False
    model.set_attn_implementation("eager")
    graph = _graph(model)
    for layer in model.model.layers:
        attention.cut(layer.self_attn, heads, importance)
    for layer in model.model.layers:
        _cut(graph, layer.mlp.gate_proj, inner, importance)
    _cut(graph, model.model.layers[0].mlp.down_proj, hidden, importance)
    config.hidden_size, config.intermediate_size = hidden, inner
    config.num_attention_heads, config.num_key_value_heads = heads.after.heads, heads.after.kv_heads
    config.head_dim = heads.after.dim
    config.use_cache = True
    model.set_attn_implementation("sdpa")
    model.model.embed_tokens.embedding_dim = hidden
    if tied:
        # Both were cut alike, but into tensors of their own.
        model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return heads


def _kept(width: int, ratio: float) -> int:
    kept = round(width * (1 - ratio))
    if kept < 2:
        raise TrainingError(f"ratio {ratio:g} leaves {kept} of {width} channels: take a smaller one")
    return kept


def _graph(model: PreTrainedModel) -> tp.DependencyGraph:
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    with warnings.catch_warnings(), torch.enable_grad():
        # It names the weights of the norms, which it finds and cuts.
        warnings.filterwarnings("ignore", message="Unwrapped parameters")
        ids = torch.zeros((1, _TRACED), dtype=torch.long)
        return tp.DependencyGraph().build_dependency(model, example_inputs={"input_ids": ids})


def _cut(graph: tp.DependencyGraph, root: nn.Linear, kept: int, importance: Importance) -> None:
    """The group of `root`'s outputs, down to the `kept` channels that count most."""
    n = root.out_features
    group = graph.get_pruning_group(root, tp.prune_linear_out_channels, idxs=list(range(n)))
    members: dict[tuple[nn.Module, bool], None] = {}
    for dependency, _ in group:
        layer = dependency.target.module
        if isinstance(layer, nn.Linear | nn.Embedding):
            members[layer, dependency.handler in _OUTPUTS] = None
    order = channels(importance, members, n).argsort(descending=True)
    gone = order[kept:].sort().values.tolist()
    graph.get_pruning_group(root, tp.prune_linear_out_channels, idxs=gone).prune()
    if isinstance(importance, Activation):
        left = order[:kept].sort().values
        for layer, outputs in members:
            if not outputs:
                importance.keep(layer, left)
