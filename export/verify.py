"""Does the sealed bundle say what the trained weights say?"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from export.onnx import ExportError
from pipeline import prompt
from pipeline.bundle import Bundle
from pipeline.calibration import LEVELS, MIDDLE
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.records import ChannelQuality, CompressedWindow, Span
from pipeline.wavelet import METHODS, versioned

# Labels of the bundle against those of the float32 weights, and the largest gap between probabilities.
MIN_AGREEMENT = 0.99
MAX_GAP = 0.05
_WINDOWS = 300
_BATCH = 8


class Agreement(msgspec.Struct, frozen=True):
    """Over `windows` windows: share of equal labels, largest and mean difference of probabilities."""

    windows: int
    labels_equal: float
    gap_max: float
    gap_mean: float


def verify(bundle: Bundle, trained: Path, seed: int = 1) -> Agreement:
    """Reads windows of random montage and codes with both. Raises ExportError where they part.

    trained: the folder the bundle was exported from.
    """
    batch = _windows(bundle, np.random.default_rng(seed))
    reader = Reader(bundle)
    told: list[list[float]] = []
    for i in range(0, len(batch), _BATCH):
        told += [list(reading.p.values()) for reading in reader.read(batch[i : i + _BATCH])]
    found, truth = np.array(told), _torch(bundle, trained, batch)
    gap = np.abs(found - truth)
    agreement = Agreement(
        windows=len(batch),
        labels_equal=float((found.argmax(axis=1) == truth.argmax(axis=1)).mean()),
        gap_max=float(gap.max()),
        gap_mean=float(gap.mean()),
    )
    if agreement.labels_equal < MIN_AGREEMENT or agreement.gap_max > MAX_GAP:
        raise ExportError(
            f"{bundle.path} departs from {trained}: labels agree on {agreement.labels_equal:.1%} "
            f"(at least {MIN_AGREEMENT:.0%}), probabilities differ by up to {agreement.gap_max:.3f} "
            f"(at most {MAX_GAP})"
        )
    return agreement


def _windows(bundle: Bundle, rng: np.random.Generator) -> list[tuple[CompressedWindow, Person]]:
    settings = bundle.manifest.pipeline
    method = METHODS[settings.compression]
    span = Span(0, 0, 0.0, settings.window, 0.0, settings.window, 0.0, 0.0)
    batch = []
    for _ in range(_WINDOWS):
        n = int(rng.integers(settings.min_channels, len(settings.montage) + 1))
        rows = np.sort(rng.choice(len(settings.montage), n, replace=False))
        # Bands that move together over the head, as states make them, and noise.
        codes = MIDDLE + rng.normal(0, 4, (1, method.n_codes)) + rng.normal(0, 4, (n, method.n_codes))
        window = CompressedWindow(
            codes=np.clip(np.rint(codes), 0, LEVELS - 1).astype(np.int16),
            channels=tuple(settings.montage[i] for i in rows),
            method=versioned(method),
            span=span,
            quality=ChannelQuality(np.ones(n, dtype=np.bool_), ("",) * n, 1.0),
        )
        batch.append((window, Person(age=int(rng.integers(16, 90)), gender="female")))
    return batch


@torch.inference_mode()
def _torch(
    bundle: Bundle, trained: Path, batch: list[tuple[CompressedWindow, Person]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The same probabilities by transformers, one prompt at a time, label text scored token by token."""
    model = AutoModelForCausalLM.from_pretrained(trained).eval()
    tokenizer = Tokenizer.from_file(str(trained / "tokenizer.json"))
    labels = [tokenizer.encode(prompt.answer(label)).ids for label in bundle.manifest.labels]
    rows = []
    for window, person in batch:
        ids = tokenizer.encode(prompt.question(window, person)).ids
        row = []
        for label in labels:
            logits = model(torch.tensor([ids + label])).logits[0, len(ids) - 1 : -1].double()
            told = logits.log_softmax(dim=-1)[torch.arange(len(label)), torch.tensor(label)]
            row.append(float(told.sum()))
        rows.append(row)
    scores = np.array(rows) / bundle.manifest.temperature
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))
