"""Labels by the probability of their whole text, for any tokenizer: what the daemon's reader computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from pipeline import prompt


@torch.inference_mode()
def label_scores(
    model: PreTrainedModel,
    tokenizer: Tokenizer,
    questions: Sequence[str],
    labels: Sequence[str],
    rows: int = 16,
) -> npt.NDArray[np.float64]:
    """Log-probability of each label's text behind each question: (n_questions, n_labels).

    rows: texts that are computed at once; lengths may differ, since padding stands behind.
    """
    was = model.training
    model.eval()
    asked = [tokenizer.encode(question, add_special_tokens=False).ids for question in questions]
    told = [tokenizer.encode(prompt.answer(label), add_special_tokens=False).ids for label in labels]
    scores = np.zeros((len(asked), len(told)))
    if all(len(label) == 1 for label in told):
        # One run serves all labels.
        for at in range(0, len(asked), rows):
            some = asked[at : at + rows]
            chances = _behind(model, some, [1] * len(some))
            scores[at : at + rows] = [[float(row[0, label[0]]) for label in told] for row in chances]
    else:
        whole = [
            (i, j, ids + label[:-1], label) for i, ids in enumerate(asked) for j, label in enumerate(told)
        ]
        for at in range(0, len(whole), rows):
            part = whole[at : at + rows]
            chances = _behind(model, [ids for _, _, ids, _ in part], [len(label) for *_, label in part])
            for (i, j, _, label), row in zip(part, chances, strict=True):
                scores[i, j] = float(row[torch.arange(len(label)), torch.tensor(label)].sum())
    model.train(was)
    return scores


def _behind(model: PreTrainedModel, texts: Sequence[list[int]], last: Sequence[int]) -> list[torch.Tensor]:
    """Log-probabilities behind the last tokens of each text: (last, vocabulary), float32, on the CPU."""
    ids = torch.zeros((len(texts), max(map(len, texts))), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    hidden = model.model(input_ids=ids.to(model.device), use_cache=False).last_hidden_state
    head = model.get_output_embeddings()
    return [
        torch.log_softmax(head(hidden[row, len(text) - n : len(text)]).float(), dim=-1).cpu()
        for row, (text, n) in enumerate(zip(texts, last, strict=True))
    ]
