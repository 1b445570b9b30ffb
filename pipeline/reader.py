"""The language model as a reader of windows: probabilities of labels, by scoring each label's tokens.

Plain ONNX Runtime and tokenizers, no torch. Nothing is generated: a label's probability is the model's
probability of its text after the prompt, renormalised over the bundle's labels.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

# Before the library is loaded. The pinned versions send nothing; this says so to any other.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from pipeline import prompt
from pipeline.bundle import MODEL, TOKENIZER, Bundle
from pipeline.errors import BundleError
from pipeline.prompt import Person
from pipeline.records import CompressedWindow, Float32, Float64, Reading

_Int64 = npt.NDArray[np.int64]
_PAST, _PRESENT = "past_key_values", "present"


class Reader:
    """One model, one session. Calls are not to overlap; a worker thread owns it."""

    def __init__(self, bundle: Bundle, threads: int = 2) -> None:
        """Raises BundleError where the model does not load or does not fit the tokenizer."""
        self._manifest = bundle.manifest
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Windows come every second or two; threads that spin in between would keep a core busy.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                str(bundle.path / MODEL), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer = Tokenizer.from_file(str(bundle.path / TOKENIZER))
        except Exception as error:
            line = str(error).splitlines()[0]
            raise BundleError(f"{bundle.path}: the model does not load: {line}") from error
        self._past = {i.name: i.shape for i in self._session.get_inputs() if i.name.startswith(_PAST)}
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._labels = [self._encode(prompt.answer(label)) for label in self._manifest.labels]

    def read(self, batch: Sequence[tuple[CompressedWindow, Person]]) -> list[Reading]:
        """One reading a window, in order; one run of the model for all, of whatever lengths."""
        if not batch:
            return []
        began = time.perf_counter()
        scores = self._score([self._encode(prompt.question(window, person)) for window, person in batch])
        probabilities = _softmax(scores / self._manifest.temperature)
        infer_s = time.perf_counter() - began
        return [
            self._reading(window, row, infer_s) for (window, _), row in zip(batch, probabilities, strict=True)
        ]

    def _reading(self, window: CompressedWindow, probabilities: Float64, infer_s: float) -> Reading:
        p = dict(zip(self._manifest.labels, probabilities.tolist(), strict=True))
        best = max(p, key=p.__getitem__)
        unsure = p[best] < self._manifest.abstain_below
        return Reading(
            label=None if unsure else best,
            p=p,
            p_smooth=p,
            span=window.span,
            quality=window.quality.score,
            reason=f"no label reaches {self._manifest.abstain_below:g}" if unsure else "",
            infer_s=infer_s,
        )

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _score(self, prompts: list[list[int]]) -> Float64:
        """Log-probability of each label's text: (n_prompts, n_labels)."""
        lengths = np.array([len(ids) for ids in prompts])
        ids, mask = _pad(prompts)
        logits, cache = self._run(ids, mask, self._empty_cache(len(prompts)), keep_cache=self._long_labels)
        # Rows are padded behind, so the last real position differs from row to row.
        first = _log_softmax(logits[np.arange(len(prompts)), lengths - 1])
        scores = np.stack([first[:, label[0]] for label in self._labels], axis=1)
        for column, label in enumerate(self._labels):
            if len(label) > 1:
                scores[:, column] += self._continue(label, lengths, mask, cache)
        return scores

    @property
    def _long_labels(self) -> bool:
        return any(len(label) > 1 for label in self._labels)

    def _continue(
        self, label: list[int], lengths: _Int64, mask: _Int64, cache: dict[str, Float32]
    ) -> Float64:
        """Log-probability of a label's tokens after its first, on the prompts' cached keys and values."""
        n = len(lengths)
        ids = np.tile(np.array(label[:-1], dtype=np.int64), (n, 1))
        position = lengths[:, None] + np.arange(ids.shape[1])
        mask = np.concatenate([mask, np.ones_like(ids)], axis=1)
        logits, _ = self._run(ids, mask, cache, keep_cache=False, position=position)
        told = _log_softmax(logits)
        return np.asarray(sum(told[:, i, token] for i, token in enumerate(label[1:])))

    def _empty_cache(self, n: int) -> dict[str, Float32]:
        return {
            name: np.zeros((n, shape[1], 0, shape[3]), dtype=np.float32) for name, shape in self._past.items()
        }

    def _run(
        self,
        ids: _Int64,
        mask: _Int64,
        cache: dict[str, Float32],
        *,
        keep_cache: bool,
        position: _Int64 | None = None,
    ) -> tuple[Float32, dict[str, Float32]]:
        """Logits (n, length, vocabulary) and, where kept, the keys and values so far."""
        if position is None:
            position = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
        feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": position, **cache}
        wanted = ["logits"] + ([name.replace(_PAST, _PRESENT) for name in self._past] if keep_cache else [])
        logits, *present = self._session.run(wanted, feeds)
        return logits, dict(zip(self._past, present, strict=False))


def _pad(prompts: list[list[int]]) -> tuple[_Int64, _Int64]:
    longest = max(map(len, prompts))
    ids = np.zeros((len(prompts), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, prompt_ids in enumerate(prompts):
        ids[row, : len(prompt_ids)] = prompt_ids
        mask[row, : len(prompt_ids)] = 1
    return ids, mask


def _log_softmax(logits: Float32) -> Float64:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _softmax(scores: Float64) -> Float64:
    return np.asarray(np.exp(_log_softmax(scores.astype(np.float32))))
