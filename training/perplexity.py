"""How well a model foretells text that it never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

_BYTE = math.log(2)


class Foretold(msgspec.Struct, frozen=True):
    """perplexity: a token, which depends on the tokenizer, as bits_per_byte does not. tokens: told."""

    perplexity: float
    bits_per_byte: float
    tokens: int


def rows(tokens: npt.NDArray[np.uint32], context: int, n: int) -> list[torch.Tensor]:
    """Up to n rows of `context` tokens, evenly over the whole: int64 (context,). A short text is one row."""
    whole = max(1, len(tokens) // context)
    starts = np.linspace(0, whole - 1, min(n, whole)).astype(int) * context
    return [torch.from_numpy(tokens[at : at + context].astype(np.int64)) for at in starts]


@torch.inference_mode()
def foretell(model: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[torch.Tensor]) -> Foretold:
    """texts: rows of tokens, the first of each only read."""
    was = model.training
    model.eval()
    nats, told, size = 0.0, 0, 0
    for row in texts:
        row = row.to(model.device)
        logits = model(input_ids=row[None], use_cache=False).logits[0, :-1].float()
        nats += float(cross_entropy(logits, row[1:], reduction="sum"))
        told += len(row) - 1
        size += len(tokenizer.decode(row[1:].tolist(), skip_special_tokens=True).encode())
    model.train(was)
    return Foretold(math.exp(min(nats / max(1, told), 700.0)), nats / _BYTE / max(1, size), told)
