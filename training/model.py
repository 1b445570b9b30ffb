"""A small Qwen2 of the recipe's shape, from scratch."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from pipeline.calibration import LEVELS
from training.recipe import ModelShape
from training.tokenizer import END, PAD

# Longest prompt: 64 electrodes of 50 codes, and the fixed text.
_MAX_LENGTH = 4096
_INIT = 0.05
# Size of the smooth part that codes start with, against _INIT for the rest.
_ORDER = 0.3


def build(shape: ModelShape, tokenizer: Tokenizer, attention_dropout: float) -> Qwen2ForCausalLM:
    """Fresh weights, drawn from torch's generator."""
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=_MAX_LENGTH,
            tie_word_embeddings=True,
            attention_dropout=attention_dropout,
            initializer_range=_INIT,
            pad_token_id=tokenizer.token_to_id(PAD),
            eos_token_id=tokenizer.token_to_id(END),
            bos_token_id=None,
        )
    )
    _order_codes(model, tokenizer)
    return model


def _order_codes(model: Qwen2ForCausalLM, tokenizer: Tokenizer) -> None:
    """Lets neighbouring codes start with neighbouring embeddings.

    Tokens know no order; a corpus of a few thousand windows is too small to learn it for 32 levels.
    """
    weight: torch.Tensor = model.get_input_embeddings().weight
    ids = [tokenizer.encode(f" {code}").ids[0] for code in range(LEVELS)]
    x = (torch.arange(LEVELS) + 0.5) / LEVELS * 2 - 1
    shapes = torch.stack(
        [x, x**2, torch.tanh(4 * x)], dim=1
    )  # (LEVELS, 3): sign, size, small sizes told apart
    with torch.no_grad():
        weight[ids] = shapes @ torch.randn(3, weight.shape[1]) * _ORDER + torch.randn(weight.shape[1]) * _INIT
