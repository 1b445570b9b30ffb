"""The paper's pruned model as a shape: Qwen2-0.5B at ratio 0.5, random weights. For speed alone."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from export.domain import add_domain_tokens

_END = "<|endoftext|>"


def save_paper_shape(
    out: Path, kv_heads: int = 1, layers: int = 24, vocabulary: int = 151_936, seed: int = 0
) -> Path:
    """157.56 M parameters, as in the paper (0.15 B; 0.294 GiB in bf16).

    kv_heads: 1 for 7 heads of 64, 2 for 14 heads of 32; pruning can leave either. Fewer layers and a smaller
    vocabulary make a small one.
    """
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocabulary,
            hidden_size=448,
            intermediate_size=2432,
            num_hidden_layers=layers,
            num_attention_heads=7 * kv_heads,
            num_key_value_heads=kv_heads,
            head_dim=64 // kv_heads,
            max_position_embeddings=32_768,
            rope_theta=1e6,
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=0,
        )
    )
    # Text costs a token a byte here; the codes, which make a window's length, one each as in any vocabulary.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i + 1 for i, c in enumerate(alphabet)} | {_END: 0}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    add_domain_tokens(model, tokenizer)
    model.save_pretrained(out)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_END, pad_token=_END).save_pretrained(out)
    return out
