"""Does a fused graph answer as the graph it was made from?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort

from export.exported import Float32
from export.onnx import ExportError
from pipeline.model import Cache, Model

# Largest difference of logits, as a share of the largest logit or of 1.
TOLERANCE = 1e-4
_LENGTHS = (37, 5, 21)


class PlainGraph:
    """An unfused export on ONNX Runtime: whole prompts in, logits of every position out."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._past = [i for i in self._session.get_inputs() if i.name.startswith("past_key_values")]

    @property
    def vocabulary(self) -> int:
        return int(self._session.get_outputs()[0].shape[-1])

    def logits(self, text: Sequence[int]) -> Float32:
        """(n_tokens, vocabulary)."""
        ids = np.array([text], dtype=np.int64)
        empty = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), dtype=np.float32) for i in self._past}
        feeds = {"attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.shape[1])[None]}
        found: Float32 = self._session.run(["logits"], {"input_ids": ids, **feeds, **empty})[0][0]
        return found


def check_parity(plain: Path, fused: Path, seed: int = 0) -> float:
    """Random texts of unlike lengths: side by side, and in pieces behind what is cached.

    Returns the largest difference as `TOLERANCE` counts it; raises ExportError where that is exceeded.
    """
    truth, model = PlainGraph(plain), Model(fused)
    rng = np.random.default_rng(seed)
    texts = [rng.integers(0, truth.vocabulary, n).tolist() for n in _LENGTHS]
    wanted = np.stack([truth.logits(text)[-2:] for text in texts])
    cache = model.cache(len(texts), max(_LENGTHS))
    together = model.run(cache, texts, keep=2)
    pieces = np.stack([_in_pieces(model, cache, text) for text in texts])
    gap = max(float(np.abs(found - wanted).max()) for found in (together, pieces))
    gap /= max(1.0, float(np.abs(wanted).max()))
    # Written so that a NaN fails too.
    if not gap <= TOLERANCE:
        raise ExportError(f"{fused} departs from {plain}: logits differ by {gap:.2g} of the largest")
    return gap


def _in_pieces(model: Model, cache: Cache, text: Sequence[int]) -> Float32:
    """Logits of the last two tokens, (2, vocabulary): a third of the text, the rest, the last token alone."""
    cuts = (0, len(text) // 3, len(text) - 1, len(text))
    rows = [model.run(cache, [text[begin:end]], begin)[0, 0] for begin, end in pairwise(cuts)]
    return np.stack(rows[-2:])
