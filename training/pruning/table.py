"""What pruning did to a model, in figures that were measured on what was saved."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from training.errors import TrainingError
from training.pruning.attention import Heads

# Logits of what was reloaded may differ by rounding, not by more.
_SAME = 1e-3
_ASKED = 16
_BF16 = 2  # bytes a parameter


class Size(msgspec.Struct, frozen=True):
    """layers: widths of each: hidden, intermediate, query heads, key and value heads, numbers a head."""

    parameters: int
    bytes_bf16: int
    vocabulary: int
    layers: list[tuple[int, int, int, int, int]]

    @classmethod
    def of(cls, model: PreTrainedModel) -> Size:
        """From the weights themselves, not from the configuration."""
        dim = Heads.of(model.config).dim
        widths = []
        for layer in model.model.layers:
            q, k = layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight
            widths.append(
                (q.shape[1], layer.mlp.gate_proj.weight.shape[0], len(q) // dim, len(k) // dim, dim)
            )
        parameters = sum(p.numel() for p in model.parameters())
        rows = model.get_input_embeddings().weight.shape[0]
        return cls(parameters, _BF16 * parameters, rows, widths)


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """`pruning.json`. parameters, bytes_bf16: after.

    reload_error: largest difference of logits between the pruned model and the same one reloaded by stock
    transformers. rotary_exact: heads turn by the angles that they were trained with. perplexity: on held-out
    text, before and after; None where no text was given.
    """

    parameters: int
    bytes_bf16: int
    before: Size
    after: Size
    ratio: float
    importance: str
    attention: str
    rotary_exact: bool
    dropped_layers: list[int]
    vocabulary_saved: int
    """Parameters saved by trimming the vocabulary, before the widths were cut."""
    reload_error: float
    perplexity_before: float | None = None
    perplexity_after: float | None = None


@torch.inference_mode()
def reload_error(model: PreTrainedModel, folder: Path | None, seed: int) -> float:
    """folder: where it was saved; None: a place of its own. Raises TrainingError where it differs."""
    if folder is None:
        with tempfile.TemporaryDirectory() as place:
            model.save_pretrained(place)
            return reload_error(model, Path(place), seed)
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, model.config.vocab_size, (1, _ASKED), generator=generator)
    error = float((model.eval()(ids).logits - again(ids).logits).abs().max())
    if not error <= _SAME:
        raise TrainingError(f"the pruned model reloads to other logits (by {error:.3g}): it was not kept")
    return error


def lines(told: Pruned) -> list[str]:
    """The table, for people."""
    rows: Sequence[tuple[str, object, object]] = (
        ("parameters", f"{told.before.parameters:,}", f"{told.after.parameters:,}"),
        ("GiB in bf16", f"{told.before.bytes_bf16 / 2**30:.4f}", f"{told.after.bytes_bf16 / 2**30:.4f}"),
        ("vocabulary", f"{told.before.vocabulary:,}", f"{told.after.vocabulary:,}"),
        ("layers", len(told.before.layers), len(told.after.layers)),
        *(
            (name, _range(told.before, i), _range(told.after, i))
            for i, name in enumerate(
                ("hidden", "intermediate", "query heads", "key/value heads", "head size")
            )
        ),
        ("held-out perplexity", _number(told.perplexity_before), _number(told.perplexity_after)),
    )
    table = [f"{'':<22}{'before':>16}{'after':>16}"]
    table += [f"{name:<22}{before!s:>16}{after!s:>16}" for name, before, after in rows]
    if told.dropped_layers:
        table.append(f"layers left out: {', '.join(map(str, told.dropped_layers))}")
    if told.vocabulary_saved:
        table.append(f"trimming the vocabulary alone saved {told.vocabulary_saved:,} parameters")
    table.append(f"largest difference of logits after reloading: {told.reload_error:.2g}")
    return table


def _range(size: Size, i: int) -> str:
    widths = sorted({layer[i] for layer in size.layers})
    return str(widths[0]) if len(widths) == 1 else f"{widths[0]}..{widths[-1]}"


def _number(x: float | None) -> str:
    return "-" if x is None else f"{x:,.1f}"
