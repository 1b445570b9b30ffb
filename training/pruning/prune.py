"""A base to a pruned one: vocabulary, then depth, then widths, then the proof that it reloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import torch
from transformers import PreTrainedModel

from pipeline.whole import as_json
from training.bases import Base, end_of_text, save_base
from training.errors import TrainingError
from training.lm_settings import Prune
from training.perplexity import foretell, rows
from training.pruning.attention import HeadCut
from training.pruning.depth import drop_layers
from training.pruning.importance import Activation, Importance, Taylor, group_l2
from training.pruning.table import Pruned, Size, reload_error
from training.pruning.vocabulary import trim
from training.pruning.widths import prune_widths
from training.texts import pack

NOTE = "pruning.json"
_ROW = 256  # tokens
_HELD_OUT = 0.02


def check(how: Prune, trimmed: bool) -> None:
    """Raises TrainingError where the settings ask for nothing, or for what cannot be."""
    if how.ratio == 0 and not trimmed and not how.drop_layers:
        raise TrainingError(
            "nothing to prune: give a ratio between 0 and 1, --drop-layers or --trim-vocabulary"
        )


def prune_model(
    model: PreTrainedModel, how: Prune, seen: Sequence[torch.Tensor] = ()
) -> tuple[HeadCut | None, list[int]]:
    """Depth, then widths, in place. seen: rows of tokens. Returns the heads' cut and the layers left out."""
    if (how.drop_layers or how.importance != "group-l2") and not seen:
        raise TrainingError(
            f"--drop-layers and --importance {how.importance} need text to look at: give --texts"
        )
    gone = drop_layers(model, how.drop_layers, seen) if how.drop_layers else []
    if not how.ratio:
        return None, gone
    importance: Importance
    match how.importance:
        case "taylor":
            importance = Taylor(model, seen)
        case "activation":
            importance = Activation(model, seen)
        case _:
            importance = group_l2
    return prune_widths(model, how.ratio, how.attention, importance), gone


def prune_shape(model: PreTrainedModel, how: Prune) -> Pruned:
    """Of random weights, which are not kept: the figures alone."""
    check(how, trimmed=False)
    before = Size.of(model)
    heads, gone = prune_model(model, how)
    return _told(model, before, how, heads, gone, 0, reload_error(model, None, how.seed))


def prune_base(base: Base, how: Prune, out: Path, texts: Path | None, words: Iterable[str] | None) -> Pruned:
    """Writes a folder of stock transformers, with `pruning.json`. Raises TrainingError.

    texts: looked at by taylor, activation and drop_layers, and a part of it held out for perplexity.
    words: texts whose tokens are kept; None keeps the vocabulary.
    """
    check(how, words is not None)
    before, saved = Size.of(base.model), 0
    end = end_of_text(base)
    # The unpruned model is asked the same text as the pruned one, before its tokenizer changes.
    first = _look(base, texts, end, out, how.measured)
    perplexity = foretell(base.model, base.tokenizer, first[1]).perplexity if first else None
    if words is not None:
        base = trim(base, words, how.vocabulary)
        saved = before.parameters - Size.of(base.model).parameters
    look = _look(base, texts, end_of_text(base), out, how.measured)
    heads, gone = prune_model(base.model, how, look[0] if look else ())
    base.model.zero_grad(set_to_none=True)
    after = foretell(base.model, base.tokenizer, look[1]).perplexity if look else None
    error = reload_error(base.model, None, how.seed)
    told = msgspec.structs.replace(
        _told(base.model, before, how, heads, gone, saved, error),
        perplexity_before=perplexity,
        perplexity_after=after,
    )
    save_base(base, out, {NOTE: as_json(told)})
    return told


def _look(
    base: Base, texts: Path | None, end: int, out: Path, n: int
) -> tuple[list[torch.Tensor], list[torch.Tensor]] | None:
    """Rows to look at, and rows held out."""
    if texts is None:
        return None
    packed = pack(texts, base.tokenizer, end, _HELD_OUT, out.with_name(f"{out.name}-tokens"))
    return rows(packed.train, _ROW, n), rows(packed.held_out, _ROW, n)


def _told(
    model: PreTrainedModel,
    before: Size,
    how: Prune,
    heads: HeadCut | None,
    gone: list[int],
    saved: int,
    error: float,
) -> Pruned:
    after = Size.of(model)
    if heads is None:
        said = "as it was"
    elif heads.after.dim == heads.before.dim:
        said = f"{heads.after.kv_heads} of {heads.before.kv_heads} groups of heads"
    else:
        said = f"{heads.after.dim} of {heads.before.dim} numbers a head"
    return Pruned(
        parameters=after.parameters,
        bytes_bf16=after.bytes_bf16,
        before=before,
        after=after,
        ratio=how.ratio,
        importance=how.importance,
        attention=said,
        rotary_exact=heads is None or heads.exact,
        dropped_layers=gone,
        vocabulary_saved=saved,
        reload_error=error,
    )
