"""A vocabulary cut down to a domain: its tokens, those that they are merged from, and all single bytes.

What is kept encodes as before: a byte-level BPE that takes the lowest merge first takes the same merges,
since those that led to a kept token are all there, in order. Any other text still encodes, in smaller pieces.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from torch import nn
from transformers import PreTrainedModel

from pipeline import prompt
from training.bases import Base
from training.errors import TrainingError


def trim(base: Base, texts: Iterable[str], most: int = 0) -> Base:
    """The model is changed in place; the tokenizer is a new one, ids in the old order.

    most: tokens to keep at most, the most frequent; 0: all that the texts use.
    """
    told: dict[str, Any] = json.loads(base.tokenizer.to_str())
    if told["model"]["type"] != "BPE" or told["model"].get("ignore_merges"):
        raise TrainingError(
            f"a {told['model']['type']} vocabulary cannot be trimmed: only byte-level BPE can"
        )
    vocabulary: dict[str, int] = told["model"]["vocab"]
    pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in told["model"]["merges"]]
    ranks = {pair: rank for rank, pair in enumerate(pairs)}
    spelled = {number: token for token, number in vocabulary.items()}
    kept = {token for token in pre_tokenizers.ByteLevel.alphabet() if token in vocabulary}
    kept |= {token["content"] for token in told["added_tokens"]} & vocabulary.keys()
    # Added tokens have ids of their own, outside BPE's.
    room = most - len({token["content"] for token in told["added_tokens"]} - vocabulary.keys())
    for token in _by_frequency(base.tokenizer, texts):
        if token not in spelled or spelled[token] in kept:
            continue
        path = _path(spelled[token], ranks) - kept
        if most and len(kept) + len(path) > room:
            break
        kept |= path
    order = sorted({vocabulary[token] for token in kept} | {t["id"] for t in told["added_tokens"]})
    new = {old: number for number, old in enumerate(order)}
    told["model"]["vocab"] = {token: new[vocabulary[token]] for token in kept}
    told["model"]["merges"] = [list(pair) for pair in pairs if {*pair, "".join(pair)} <= kept]
    for token in told["added_tokens"]:
        token["id"] = new[token["id"]]
    _renumber_special(told.get("post_processor"), new)
    _cut_embeddings(base.model, order, new)
    return Base(base.model, Tokenizer.from_str(json.dumps(told)))


def _by_frequency(tokenizer: Tokenizer, texts: Iterable[str]) -> list[int]:
    """Tokens of the prompt first, then those of the texts, the frequent ones first."""
    count: Counter[int] = Counter()
    for text in texts:
        count.update(tokenizer.encode(text, add_special_tokens=False).ids)
    ours = [prompt.prefix(person) for person in prompt.everyone()] + prompt.vocabulary()
    first: dict[int, None] = {}
    for text in (*ours, prompt.ASK, prompt.answer("", "x", "x")):
        first.update(dict.fromkeys(tokenizer.encode(text, add_special_tokens=False).ids))
    return [*first, *(token for token, _ in sorted(count.items(), key=lambda item: (-item[1], item[0])))]


def _path(token: str, ranks: dict[tuple[str, ...], int]) -> set[str]:
    """The token and every piece that BPE merges on the way to it."""
    pieces = list(token)
    seen = set(pieces)
    while len(pieces) > 1:
        found = [
            (ranks[pair], i) for i in range(len(pieces) - 1) if (pair := (pieces[i], pieces[i + 1])) in ranks
        ]
        if not found:
            break
        _, at = min(found)
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        seen.add(pieces[at])
    return seen | {token}


def _renumber_special(step: dict[str, Any] | None, new: dict[int, int]) -> None:
    """Ids that a post-processor puts around texts."""
    if step is None:
        return
    for inner in step.get("processors", []):
        _renumber_special(inner, new)
    if isinstance(step.get("special_tokens"), dict):
        for token in step["special_tokens"].values():
            token["ids"] = [new[i] for i in token["ids"]]


def _cut_embeddings(model: PreTrainedModel, order: list[int], new: dict[int, int]) -> None:
    rows = torch.tensor(order)
    tied = model.config.tie_word_embeddings
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    embedding.weight = nn.Parameter(embedding.weight.detach()[rows].clone())
    embedding.num_embeddings = len(order)
    # A row may be gone that no text can reach any more.
    embedding.padding_idx = new.get(embedding.padding_idx) if embedding.padding_idx is not None else None
    if tied:
        head.weight = embedding.weight
    else:
        head.weight = nn.Parameter(head.weight.detach()[rows].clone())
    head.out_features = len(order)
    model.config.vocab_size = model.vocab_size = model.model.vocab_size = len(order)
    for holder in (model.config, model.generation_config):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            told = getattr(holder, name, None)
            if isinstance(told, int):
                setattr(holder, name, new.get(told))
            elif isinstance(told, list):
                setattr(holder, name, [new[i] for i in told if i in new])
