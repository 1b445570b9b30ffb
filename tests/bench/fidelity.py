"""What small weights change: text read by the float32 weights and by each quantisation of them.

`python -m tests.bench.fidelity WEIGHTS NAME=FILE …` prints JSON: for each name the mean Kullback-Leibler
divergence (nats a token) and the share of equal most probable tokens. A GGUF file is judged by its weights in
float32 arithmetic, with activations rounded as ggml's CPU kernels round them for such weights: to 8 bits in
blocks of 32, their scale in half precision (`quantize_row_q8_0`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from pipeline.model import Model
from pipeline.records import Float32
from tests.bench import gguf_file
from tests.parts.machine import ROOT

# English that every checkout has.
_TEXTS = ("README.md", "ARCHITECTURE.md")
_LENGTH = 256  # tokens of one piece


def _pieces(tokenizer: Path, count: int) -> list[list[int]]:
    text = "\n".join((ROOT / name).read_text() for name in _TEXTS)
    ids = Tokenizer.from_file(str(tokenizer)).encode(text, add_special_tokens=False).ids
    return [ids[at : at + _LENGTH] for at in range(0, len(ids) - _LENGTH, _LENGTH)][:count]


def _torch_logits(model: Any, pieces: list[list[int]]) -> list[Float32]:
    with torch.inference_mode():
        return [model(torch.tensor([piece])).logits[0].numpy() for piece in pieces]


def _our_logits(graph: Path, pieces: list[list[int]]) -> list[Float32]:
    model = Model(graph)
    cache = model.cache(1, _LENGTH)
    return [model.run(cache, [piece], keep=len(piece))[0] for piece in pieces]


_BLOCK = 32


def _rounded(x: torch.Tensor) -> torch.Tensor:
    """What ggml's Q8_0 keeps of the input of a product: (…, n), n a multiple of 32."""
    blocks = x.reshape(*x.shape[:-1], -1, _BLOCK)
    scale = blocks.abs().amax(dim=-1, keepdim=True) / 127
    whole = torch.where(scale > 0, blocks / scale, 0).round()
    return (whole * scale.half().float()).reshape(x.shape)


def _round_activations(model: Any) -> list[Any]:
    """The hooks that do it, to be removed again."""
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    return [m.register_forward_pre_hook(lambda _, inputs: (_rounded(inputs[0]),)) for m in linear]


def _take_weights(model: Any, file: Path) -> None:
    """Lets a transformers model compute with a GGUF file's numbers."""
    tensors = gguf_file.read(file)
    config = model.config
    rows = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    state = {}
    for name in model.state_dict():
        found = tensors.get(gguf_file.gguf_name(name))
        if found is None:  # a head tied to the embedding is not stored again
            found = tensors["token_embd.weight"]
        heads = next((n for part, n in rows.items() if f".{part}.weight" in name), None)
        if heads and config.model_type == "llama":
            found = gguf_file.halves(found, heads)
        state[name] = torch.from_numpy(found)
    model.load_state_dict(state)


def _compare(truth: list[Float32], found: list[Float32]) -> tuple[float, float]:
    divergence, equal = [], []
    for p_logits, q_logits in zip(truth, found, strict=True):
        p, q = (torch.from_numpy(np.array(x)).double().log_softmax(dim=-1) for x in (p_logits, q_logits))
        divergence.append(float((p.exp() * (p - q)).sum(dim=-1).mean()))
        equal.append(float((p.argmax(dim=-1) == q.argmax(dim=-1)).double().mean()))
    return float(np.mean(divergence)), float(np.mean(equal))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fidelity")
    parser.add_argument("weights", type=Path)
    parser.add_argument("forms", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--pieces", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(2)
    model = AutoModelForCausalLM.from_pretrained(options.weights, dtype=torch.float32).eval()
    pieces = _pieces(options.weights / "tokenizer.json", options.pieces)
    truth = _torch_logits(model, pieces)
    told = {}
    for form in options.forms:
        name, _, file = form.partition("=")
        if file.endswith(".gguf"):
            _take_weights(model, Path(file))
            hooks = _round_activations(model)
            found = _torch_logits(model, pieces)
            for hook in hooks:
                hook.remove()
        else:
            found = _our_logits(Path(file), pieces)
        told[name] = _compare(truth, found)
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
