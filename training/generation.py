"""Answers written by a language model in stock transformers, each timed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedModel

_SEED_STEP = 1_000_003


@dataclass(frozen=True, slots=True)
class Response:
    """text: what was written behind the question. seconds: from the question's tokens to the last token."""

    text: str
    seconds: float


def respond(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    questions: Sequence[str],
    *,
    top_k: int,
    max_tokens: int,
    seed: int,
) -> list[Response]:
    """One by one, with a KV cache. top_k: 1 takes the likeliest token, more draws among so many.

    A question gets the same answer whatever was asked before it. Raises ValueError.
    """
    if top_k < 1 or max_tokens < 1:
        raise ValueError(f"top_k and max_tokens must be at least 1, got {top_k} and {max_tokens}")
    end = model.config.eos_token_id
    settings = GenerationConfig(
        do_sample=top_k > 1,
        top_k=top_k if top_k > 1 else 50,
        max_new_tokens=max_tokens,
        eos_token_id=end,
        pad_token_id=end[0] if isinstance(end, list) else end,
        use_cache=True,
    )
    model.eval()
    return [_respond(model, tokenizer, question, settings, seed) for question in questions]


@torch.inference_mode()
def _respond(
    model: PreTrainedModel, tokenizer: Tokenizer, question: str, settings: GenerationConfig, seed: int
) -> Response:
    torch.manual_seed(seed * _SEED_STEP + zlib.crc32(question.encode()))
    began = time.perf_counter()
    ids = torch.tensor([tokenizer.encode(question, add_special_tokens=False).ids], device=model.device)
    written = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)[
        0, ids.shape[1] :
    ].tolist()
    text = tokenizer.decode(written, skip_special_tokens=True)
    return Response(text, time.perf_counter() - began)
