"""Training of the small model on label tokens alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import Qwen2ForCausalLM

from pipeline import prompt
from training.augment import augmented
from training.corpus import Example
from training.model import build
from training.recipe import Recipe

_GRADIENT_NORM = 1.0


class LabelScorer:
    """Prompts to logits of the labels' first tokens: a domain tokenizer has one token a label."""

    def __init__(self, tokenizer: Tokenizer, labels: Sequence[str], device: torch.device) -> None:
        self._tokenizer = tokenizer
        self._device = device
        self._labels = [tokenizer.encode(prompt.answer(label)).ids[0] for label in labels]

    def logits(self, model: Qwen2ForCausalLM, examples: Sequence[Example]) -> torch.Tensor:
        """(n_examples, n_labels), float32."""
        texts = [prompt.question(example.window, example.person) for example in examples]
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        lengths = torch.tensor([len(e.ids) for e in encoded])
        ids = torch.zeros((len(texts), int(lengths.max())), dtype=torch.long)
        for row, e in enumerate(encoded):
            ids[row, : len(e.ids)] = torch.tensor(e.ids)
        # Padding stands behind, where a causal model's earlier positions cannot see it.
        hidden = model.model(input_ids=ids.to(self._device), use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(texts)), lengths.to(self._device) - 1]
        weight = model.get_output_embeddings().weight[self._labels]
        logits: torch.Tensor = last @ weight.T
        return logits


def fit(
    recipe: Recipe, tokenizer: Tokenizer, corpus: Sequence[Example], device: torch.device, title: str
) -> Qwen2ForCausalLM:
    """Trains from scratch; labels are drawn equally often. Returns the averaged weights, in eval mode."""
    how = recipe.fit
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    model = build(recipe.model, tokenizer, how.dropout).to(device).train()
    scorer = LabelScorer(tokenizer, recipe.labels, device)
    steps = max(1, how.epochs * len(corpus) // how.batch)
    # OneCycleLR divides by the warm-up's steps less one.
    warmup = how.warmup if how.warmup * steps != 1 else 1.5 / steps
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, how.learning_rate, total_steps=steps, pct_start=warmup
    )
    target = np.array([recipe.labels.index(example.label) for example in corpus])
    count = np.bincount(target, minlength=len(recipe.labels))
    chance = 1 / count[target] / len(recipe.labels)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - how.average)
    )
    bar = tqdm(range(steps), desc=title, unit="step", mininterval=1.0)
    for _ in bar:
        drawn = rng.choice(len(corpus), how.batch, p=chance)
        batch = [augmented(corpus[i], recipe.augment, recipe.pipeline.min_channels, rng) for i in drawn]
        loss = cross_entropy(
            scorer.logits(model, batch),
            torch.from_numpy(target[drawn]).to(device),
            label_smoothing=how.label_smoothing,
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _GRADIENT_NORM)
        optimiser.step()
        schedule.step()
        average.update_parameters(model)
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return average.module.eval()


@torch.inference_mode()
def scores(
    model: Qwen2ForCausalLM, scorer: LabelScorer, corpus: Sequence[Example], batch: int = 64
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Logits of the labels: float64 (n_examples, n_labels)."""
    rows = [scorer.logits(model, corpus[i : i + batch]).cpu() for i in range(0, len(corpus), batch)]
    return torch.cat(rows).double().numpy()
