"""Weights of a Llama or Qwen2 as a GGUF file in float32, without a tokenizer: enough to measure speed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.records import Float32

_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write(weights: Path, target: Path) -> Path:
    """weights: folder with config.json and model.safetensors. Made once. Raises ImportError without gguf."""
    import gguf
    from safetensors.numpy import load_file

    if target.exists():
        return target
    config = json.loads((weights / "config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    part = target.with_suffix(".part")
    out = gguf.GGUFWriter(part, config["model_type"])
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(kv_heads)
    out.add_key_length(head)
    out.add_value_length(head)
    out.add_rope_dimension_count(head)
    out.add_rope_freq_base(config["rope_theta"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_vocab_size(config["vocab_size"])
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("no_vocab")
    for name, values in load_file(weights / "model.safetensors").items():
        tensor = np.asarray(values, dtype=np.float32)
        # Qwen2 turns the halves of a head, as transformers does; Llama turns neighbours.
        if config["model_type"] == "llama" and ".q_proj." in name:
            tensor = neighbours(tensor, heads)
        if config["model_type"] == "llama" and ".k_proj." in name:
            tensor = neighbours(tensor, kv_heads)
        out.add_tensor(gguf_name(name), tensor)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    part.replace(target)
    return target


def read(file: Path) -> dict[str, Float32]:
    """A quantised file's tensors as the numbers they stand for, by their names in GGUF."""
    import gguf

    # Copies: what is not quantised would else be the file itself, mapped for reading only.
    return {
        tensor.name: np.array(gguf.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        for tensor in gguf.GGUFReader(file).tensors
    }


def gguf_name(name: str) -> str:
    """`model.layers.3.self_attn.q_proj.weight` is `blk.3.attn_q.weight`."""
    stem, _, kind = name.rpartition(".")
    if stem in _TOP:
        return f"{_TOP[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_LAYER[part]}.{kind}"


def neighbours(weight: Float32, heads: int) -> Float32:
    """Rows of rotary pairs from half a head apart to side by side."""
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)


def halves(weight: Float32, heads: int) -> Float32:
    """The reverse of `neighbours`."""
    pairs = weight.reshape(heads, -1, 2, weight.shape[1])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(weight.shape)
