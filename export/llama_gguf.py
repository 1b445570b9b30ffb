"""A Llama in llama.cpp's file format to transformers: shape, float32 weights, the file's own tokenizer.

Read by hand: transformers' loader needs a further package and builds another tokenizer than the file tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

# GGUF's mark of a token that steers instead of being text.
_CONTROL = 3
_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class LlamaFile:
    """An open GGUF file of the architecture `llama`."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self._fields: Mapping[str, Any] = reader.fields
        self._tensors = reader.tensors

    def model(self) -> LlamaForCausalLM:
        """Float32, in eval mode."""
        tied = all(tensor.name != "output.weight" for tensor in self._tensors)
        end, begin = self._number("tokenizer.ggml.eos_token_id"), self._number("tokenizer.ggml.bos_token_id")
        config = LlamaConfig(
            vocab_size=len(self._texts("tokenizer.ggml.tokens")),
            hidden_size=self._number("llama.embedding_length"),
            intermediate_size=self._number("llama.feed_forward_length"),
            num_hidden_layers=self._number("llama.block_count"),
            num_attention_heads=self._number("llama.attention.head_count"),
            num_key_value_heads=self._number("llama.attention.head_count_kv"),
            max_position_embeddings=self._number("llama.context_length"),
            rms_norm_eps=float(self._fields["llama.attention.layer_norm_rms_epsilon"].parts[-1][0]),
            rope_theta=float(self._fields["llama.rope.freq_base"].parts[-1][0]),
            tie_word_embeddings=tied,
            bos_token_id=begin,
            eos_token_id=end,
            pad_token_id=end,
        )
        model = LlamaForCausalLM(config)
        weights = {self._name(tensor.name): self._weight(tensor, config) for tensor in self._tensors}
        if tied:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        model.load_state_dict(weights, strict=True)
        return model.eval()

    def tokenizer(self) -> Tokenizer:
        """Byte-level BPE that takes digits one by one, as the lists in the file were made with."""
        tokens = self._texts("tokenizer.ggml.tokens")
        merges = [tuple(merge.split(" ")) for merge in self._texts("tokenizer.ggml.merges")]
        field = self._fields["tokenizer.ggml.token_type"]
        kinds = [int(field.parts[i][0]) for i in field.data]
        tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
        return tokenizer

    def chat_template(self) -> str:
        return bytes(self._fields["tokenizer.chat_template"].parts[-1]).decode()

    def _number(self, key: str) -> int:
        return int(self._fields[key].parts[-1][0])

    def _texts(self, key: str) -> list[str]:
        field = self._fields[key]
        return [bytes(field.parts[i]).decode() for i in field.data]

    @staticmethod
    def _name(name: str) -> str:
        """`blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`."""
        parts = name.split(".")
        if parts[0] != "blk":
            return f"{_TOP[parts[0]]}.{parts[-1]}"
        return f"model.layers.{parts[1]}.{_LAYER[parts[2]]}.{parts[-1]}"

    @staticmethod
    def _weight(tensor: Any, config: LlamaConfig) -> torch.Tensor:
        weight = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        kind = tensor.name.split(".")[-2]
        if kind in ("attn_q", "attn_k"):
            # llama.cpp turns neighbours, transformers numbers half a head apart.
            heads = config.num_attention_heads if kind == "attn_q" else config.num_key_value_heads
            pairs = weight.reshape(heads, -1, 2, weight.shape[1])
            weight = np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(weight.shape)
        return torch.from_numpy(weight)
