"""Answers that a language model writes."""

from __future__ import annotations

import pytest
import torch

from training import tokenizer
from training.bases import Base, fresh, shape
from training.generation import respond
from training.label_scores import label_scores

QUESTIONS = ["Fz 1 2 3\nemotion:", "Cz 30 2 7 9\nemotion:", "emotion:"]


@pytest.fixture(scope="module")
def base() -> Base:
    words = tokenizer.train(("calm", "stress"))
    return Base(fresh(shape("tiny", words), seed=0).eval(), words)


def test_top_k_1_is_the_likeliest_token_each_time(base: Base) -> None:
    told = respond(base.model, base.tokenizer, QUESTIONS, top_k=1, max_tokens=6, seed=0)
    for question, answer in zip(QUESTIONS, told, strict=True):
        ids = base.tokenizer.encode(question).ids
        written: list[int] = []
        with torch.inference_mode():
            while len(written) < 6:  # without a cache: each time anew
                written.append(int(base.model(torch.tensor([ids + written])).logits[0, -1].argmax()))
                if written[-1] == base.model.config.eos_token_id:
                    break
        assert answer.text == base.tokenizer.decode(written)
        assert 0 < answer.seconds < 60


def test_an_answer_does_not_depend_on_what_was_asked_before(base: Base) -> None:
    def ask(questions: list[str], seed: int) -> list[str]:
        told = respond(base.model, base.tokenizer, questions, top_k=50, max_tokens=8, seed=seed)
        return [one.text for one in told]

    forward = ask(QUESTIONS, 3)
    assert ask(QUESTIONS[::-1], 3) == forward[::-1]
    assert ask(QUESTIONS, 4) != forward
    assert forward != [
        one.text for one in respond(base.model, base.tokenizer, QUESTIONS, top_k=1, max_tokens=8, seed=3)
    ]


@pytest.mark.parametrize(("top_k", "most"), [(0, 5), (1, 0)])
def test_what_cannot_be_written_is_refused(base: Base, top_k: int, most: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        respond(base.model, base.tokenizer, QUESTIONS, top_k=top_k, max_tokens=most, seed=0)


@pytest.mark.parametrize("labels", [("calm", "stress"), ("calm", "calm and tired", "x")])
def test_labels_are_scored_by_their_whole_text(base: Base, labels: tuple[str, ...]) -> None:
    told = label_scores(base.model, base.tokenizer, QUESTIONS, labels, rows=2)
    for row, question in zip(told, QUESTIONS, strict=True):
        ids = base.tokenizer.encode(question).ids
        for score, label in zip(row, labels, strict=True):
            answer = base.tokenizer.encode(f" {label}").ids
            with torch.inference_mode():
                chances = base.model(torch.tensor([ids + answer])).logits[0].log_softmax(-1)
            wanted = sum(float(chances[len(ids) - 1 + i, token]) for i, token in enumerate(answer))
            assert score == pytest.approx(wanted, abs=1e-4)
