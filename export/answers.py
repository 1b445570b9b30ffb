"""One model in its three forms, asked the same things: torch, the plain graph, a fused graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from export.exported import Float32
from export.onnx import ExportError
from export.parity import PlainGraph
from pipeline import prompt
from pipeline.bundle import TOKENIZER
from pipeline.model import Model
from pipeline.prompt import Person
from pipeline.records import CompressedWindow, Float64
from pipeline.scoring import LabelScorer, log_softmax
from pipeline.settings import PipelineSettings
from pipeline.words import Words

# Parameters up to which a second thread costs more than it does: ten times more on a busy machine.
_SMALL = 10_000_000


class Answers(Protocol):
    """What models are compared by."""

    def logits(self, text: Sequence[int], keep: int) -> Float32:
        """Behind each of the last `keep` tokens: (keep, vocabulary)."""
        ...

    def scores(self, window: CompressedWindow, person: Person) -> Float64:
        """Log-probability of each label: (n_labels,)."""
        ...


class _Whole:
    """Labels scored the long way: prompt and label in one text, tokenised and computed whole."""

    def __init__(self, words: Words, labels: Sequence[str]) -> None:
        self._words = words
        self._labels = [words.ids(prompt.answer(label)) for label in labels]

    def logits(self, text: Sequence[int], keep: int) -> Float32:
        raise NotImplementedError

    def scores(self, window: CompressedWindow, person: Person) -> Float64:
        question = self._words.ids(prompt.question(window, person))
        if all(len(label) == 1 for label in self._labels):
            told = log_softmax(self.logits(question, 1))[0]
            return np.array([told[label[0]] for label in self._labels])
        scores = []
        for label in self._labels:
            told = log_softmax(self.logits(question + label[:-1], len(label)))
            scores.append(told[np.arange(len(label)), label].sum())
        return np.array(scores)


class TorchAnswers(_Whole):
    """The trained weights in float32: what all others are held against."""

    def __init__(self, trained: Path, labels: Sequence[str]) -> None:
        """Raises ExportError where there are no weights."""
        if not (trained / "config.json").is_file():
            raise ExportError(f"no trained model in {trained}: give the folder that `training` wrote")
        super().__init__(Words(trained / TOKENIZER), labels)
        self._model = AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float32).eval()
        if self.parameters < _SMALL:
            torch.set_num_threads(1)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self._model.parameters())

    @torch.inference_mode()
    def logits(self, text: Sequence[int], keep: int) -> Float32:
        told = self._model(torch.tensor([list(text)]), logits_to_keep=keep, use_cache=False)
        found: Float32 = np.asarray(told.logits[0].numpy(), dtype=np.float32)
        return found

    @torch.inference_mode()
    def greedy(self, text: Sequence[int], n: int) -> list[int]:
        """The n tokens that follow, each the likeliest."""
        told = self._model(torch.tensor([list(text)]), logits_to_keep=1)
        out = [int(told.logits[0, -1].argmax())]
        for _ in range(n - 1):
            told = self._model(torch.tensor([out[-1:]]), past_key_values=told.past_key_values)
            out.append(int(told.logits[0, -1].argmax()))
        return out


class PlainAnswers(_Whole):
    """The export as it comes."""

    def __init__(self, graph: Path, words: Words, labels: Sequence[str]) -> None:
        super().__init__(words, labels)
        self._graph = PlainGraph(graph)

    def logits(self, text: Sequence[int], keep: int) -> Float32:
        found: Float32 = self._graph.logits(text)[-keep:]
        return found


class FusedAnswers:
    """A fused graph, quantised or not, through the very scorer of the daemon."""

    def __init__(
        self, graph: Path, words: Words, labels: Sequence[str], settings: PipelineSettings, room: int
    ) -> None:
        """room: tokens of the longest text that `logits` is asked for."""
        self.model = Model(graph)
        self._cache = self.model.cache(1, room)
        self._scorer = LabelScorer(self.model, words, labels, settings)

    def logits(self, text: Sequence[int], keep: int) -> Float32:
        found: Float32 = self.model.run(self._cache, [text], keep=keep)[0]
        return found

    def scores(self, window: CompressedWindow, person: Person) -> Float64:
        return self._scorer.scores(window, person)
