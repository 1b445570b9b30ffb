"""Language models in folders of stock transformers: opened, saved, made from a shape."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from pipeline.whole import whole_folder
from training.errors import TrainingError
from training.tokenizer import END, PAD

FAMILIES = ("qwen2", "llama")
TOKENIZER = "tokenizer.json"

# Qwen2-0.5B and SmolLM2-135M as their config.json on the hub give them.
_SHAPES: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "tiny": (
        Qwen2Config,
        {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
    ),
    "small": (
        Qwen2Config,
        {
            "hidden_size": 256,
            "intermediate_size": 768,
            "num_hidden_layers": 6,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
        },
    ),
    "qwen2-0.5b": (
        Qwen2Config,
        {
            "vocab_size": 151_936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "max_position_embeddings": 131_072,
            "rope_theta": 1e6,
        },
    ),
    "smollm2-135m": (
        LlamaConfig,
        {
            "vocab_size": 49_152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 8192,
            "rope_theta": 1e5,
            "rms_norm_eps": 1e-5,
        },
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Base:
    """A model and the tokenizer that it was trained with."""

    model: PreTrainedModel
    tokenizer: Tokenizer


def shape(name: str, tokenizer: Tokenizer | None = None) -> PretrainedConfig:
    """A shape by name, or of any config.json. tokenizer: whose size and end it takes."""
    if name in _SHAPES:
        kind, values = _SHAPES[name]
        config = kind(**{"tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None, **values})
    else:
        path = Path(name)
        if not path.exists():
            raise TrainingError(f"no shape {name!r}: give {', '.join(_SHAPES)} or a config.json")
        config = _config(path)
    if tokenizer is not None:
        config.vocab_size = tokenizer.get_vocab_size()
        config.pad_token_id, config.eos_token_id = tokenizer.token_to_id(PAD), tokenizer.token_to_id(END)
        config.bos_token_id = None
    return config


def fresh(config: PretrainedConfig, seed: int) -> PreTrainedModel:
    """Random weights, float32."""
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def open_base(folder: Path) -> Base:
    """Float32, in eval mode. Raises TrainingError for a folder that is no Qwen2 or Llama."""
    config = _config(folder)
    missing = [
        name
        for name in ("model.safetensors", TOKENIZER)
        if not (folder / name).is_file() and not (folder / f"{name}.index.json").is_file()
    ]
    if missing:
        raise TrainingError(
            f"{folder}: no {' and no '.join(missing)}: give a folder of weights with their tokenizer"
        )
    if config.model_type not in FAMILIES:
        raise TrainingError(
            f"{folder}: {config.model_type!r} is not known here, only {' and '.join(FAMILIES)}"
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as why:  # safetensors, tokenizers and torch each raise their own
        raise TrainingError(f"{folder}: cannot be read: {str(why).splitlines()[0]}: make it again") from why
    if tokenizer.get_vocab_size() > model.config.vocab_size:
        raise TrainingError(
            f"{folder}: {tokenizer.get_vocab_size()} tokens but {model.config.vocab_size} embeddings"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Base(model, tokenizer)


def save_base(base: Base, folder: Path, notes: dict[str, bytes] | None = None) -> None:
    """As stock transformers read it, whole or not at all. notes: further files, by name."""
    with whole_folder(folder) as part:
        try:
            base.model.save_pretrained(part)
        except SafetensorError as why:
            # Its own error for a full disk.
            raise TrainingError(f"{folder}: cannot be written: {str(why).splitlines()[0]}") from None
        config = base.model.config
        spell = base.tokenizer.id_to_token
        special = {
            f"{kind}_token": spell(number)
            for kind in ("bos", "eos", "pad")
            if isinstance(number := getattr(config, f"{kind}_token_id"), int) and spell(number) is not None
        }
        PreTrainedTokenizerFast(
            tokenizer_object=base.tokenizer,
            model_max_length=config.max_position_embeddings,
            clean_up_tokenization_spaces=False,
            **special,
        ).save_pretrained(part)
        for name, content in (notes or {}).items():
            (part / name).write_bytes(content)


def end_of_text(base: Base) -> int:
    """The token that ends a text. Raises TrainingError where the model has none."""
    told = base.model.config.eos_token_id
    number = told[0] if isinstance(told, list) else told
    if number is None:
        raise TrainingError("the model's config.json names no eos_token_id: add it")
    return int(number)


def _config(path: Path) -> PretrainedConfig:
    file = path / "config.json" if path.is_dir() or not path.exists() else path
    try:
        json.loads(file.read_text())
        return AutoConfig.from_pretrained(file)
    except FileNotFoundError:
        raise TrainingError(f"no model in {path}: no config.json there") from None
    except (ValueError, KeyError, OSError, UnicodeDecodeError) as why:
        raise TrainingError(f"{file}: not a model's configuration: {str(why).splitlines()[0]}") from None
