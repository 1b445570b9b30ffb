"""Low-rank adapters (Hu et al., 2021) through peft: put in, merged in float32, and the merge checked."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from pipeline import prompt
from training.bases import Base
from training.errors import TrainingError
from training.lm_settings import Lora

# The paper does not name the matrices; these are all of a layer's.
_MATRICES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# Between logits that are equal but for the order of their sums.
_ROUNDING = 1e-4


def adapt(base: Base, how: Lora) -> PeftModel:
    """Freezes the model, whose layers then hold adapters that change nothing yet."""
    words = None
    if how.words:
        encoded = (base.tokenizer.encode(word, add_special_tokens=False).ids for word in prompt.vocabulary())
        words = sorted({ids[0] for ids in encoded if len(ids) == 1})
    torch.manual_seed(how.seed)
    adapted: PeftModel = get_peft_model(
        base.model,
        LoraConfig(
            r=how.r,
            lora_alpha=how.alpha,
            lora_dropout=how.dropout,
            target_modules=_MATRICES,
            trainable_token_indices=words or None,
            task_type="CAUSAL_LM",
        ),
    )
    return adapted


@torch.inference_mode()
def merged(adapted: PeftModel, texts: Sequence[torch.Tensor]) -> tuple[PreTrainedModel, float]:
    """A copy without adapters, and the largest difference of its logits.

    texts: rows of tokens to compare on. Raises TrainingError where the likeliest token differs anywhere, ties
    left aside.
    """
    adapted.eval()
    model: PreTrainedModel = copy.deepcopy(adapted).merge_and_unload()
    if model.config.tie_word_embeddings:
        model.tie_weights()
    worst = 0.0
    for row in texts:
        row = row.to(model.device)
        before, after = (m(input_ids=row[None], use_cache=False).logits for m in (adapted, model))
        worst = max(worst, float((before - after).abs().max()))
        # Logits that are equal but for rounding may change places; anything else may not.
        likeliest = before.gather(-1, after.argmax(-1, keepdim=True))[..., 0]
        other = before.amax(-1) - likeliest > _ROUNDING
        if bool(other.any()):
            raise TrainingError(
                f"the merged model says other tokens than the one with adapters ({int(other.sum())} of "
                f"{other.numel()}, logits differ by {worst:.3g}): it was not kept"
            )
    return model.eval(), worst
