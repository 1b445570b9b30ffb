"""The prompt's words as tokens of their own, in a tokenizer that was made for other texts."""

from __future__ import annotations

import torch
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedModel

from pipeline import prompt


def add_domain_tokens(model: PreTrainedModel, tokenizer: Tokenizer) -> int:
    """Makes one token of every word of the prompt that takes several; returns how many were added.

    A new token begins as the mean of the tokens it replaces, so that the untuned model is not thrown off.
    """
    pieces = {word: tokenizer.encode(word, add_special_tokens=False).ids for word in prompt.vocabulary()}
    fresh = {word: ids for word, ids in pieces.items() if len(ids) > 1}
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in fresh])
    size = tokenizer.get_vocab_size()
    if size > model.config.vocab_size:
        model.resize_token_embeddings(size, mean_resizing=False)
    tables = {model.get_input_embeddings().weight, model.get_output_embeddings().weight}
    with torch.no_grad():
        for table in tables:
            for word, ids in fresh.items():
                table[tokenizer.token_to_id(word)] = table[ids].mean(dim=0)
    return len(fresh)
