"""The reader: probabilities of labels, whatever else is read at the same time."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import replace

import numpy as np
import pytest
from packaging.version import Version

from pipeline import prompt
from pipeline.bundle import Bundle, shipped_bundle
from pipeline.calibration import LEVELS, MIDDLE
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.records import ChannelQuality, CompressedWindow, Span


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(shipped_bundle())


@pytest.fixture(scope="module")
def reader(bundle: Bundle) -> Reader:
    return Reader(bundle)


def window(bundle: Bundle, seed: int, n: int | None = None) -> CompressedWindow:
    montage = bundle.manifest.pipeline.montage
    names = montage if n is None else montage[:n]
    rng = np.random.default_rng(seed)
    codes = np.clip(np.rint(MIDDLE + rng.normal(0, 6, (len(names), 5))), 0, LEVELS - 1).astype(np.int16)
    quality = ChannelQuality(np.ones(len(names), dtype=bool), ("",) * len(names), 1.0)
    return CompressedWindow(codes, names, "w5-energy/1", Span(0, 0, 0, 10, 0, 10, 0, 0), quality)


def test_probabilities_are_probabilities(bundle: Bundle, reader: Reader) -> None:
    for reading in reader.read([(window(bundle, seed), Person(20, "male")) for seed in range(20)]):
        assert tuple(reading.p) == bundle.manifest.labels
        assert sum(reading.p.values()) == pytest.approx(1)
        best = max(reading.p, key=reading.p.__getitem__)
        if reading.p[best] < bundle.manifest.abstain_below:
            assert reading.abstained and "0.6" in reading.reason
        else:
            assert reading.label == best and reading.reason == ""
    assert reader.read([]) == []


def test_a_reading_does_not_depend_on_its_neighbours(bundle: Bundle, reader: Reader) -> None:
    """Montages of different sizes share one run of the model."""
    batch = [(window(bundle, seed, n), Person()) for seed, n in enumerate((19, 4, 12, 19, 7))]
    together = [reading.p["stress"] for reading in reader.read(batch)]
    alone = [reader.read([one])[0].p["stress"] for one in batch]
    assert np.allclose(together, alone, atol=1e-4)


def test_labels_of_several_tokens_are_scored_whole(bundle: Bundle) -> None:
    """Cached continuation against scoring the same text from its start."""
    labels = ("calm", "stress and strain", "quite at rest")
    several = Bundle(bundle.path, replace_labels(bundle, labels), bundle.sha256)
    reader = Reader(several)
    batch = [(window(bundle, 1), Person()), (window(bundle, 2, 6), Person())]
    for reading, (compressed, person) in zip(reader.read(batch), batch, strict=True):
        scores = [total_score(reader, prompt.question(compressed, person), prompt.answer(x)) for x in labels]
        expected = np.exp(scores - np.logaddexp.reduce(scores))
        assert np.allclose(list(reading.p.values()), expected, atol=1e-4)


def replace_labels(bundle: Bundle, labels: tuple[str, ...]):
    import msgspec

    return msgspec.structs.replace(bundle.manifest, labels=labels, temperature=1.0)


def total_score(reader: Reader, question: str, answer: str) -> float:
    before, behind = reader._encode(question), reader._encode(answer)
    assert len(behind) > 1 or answer == " calm"
    ids = np.array([before + behind], dtype=np.int64)
    logits, _ = reader._run(ids, np.ones_like(ids), reader._empty_cache(1), keep_cache=False)
    told = logits[0].astype(np.float64)
    told -= np.logaddexp.reduce(told, axis=1, keepdims=True)
    return float(sum(told[len(before) - 1 + i, token] for i, token in enumerate(behind)))


def test_one_token_a_code(bundle: Bundle, reader: Reader) -> None:
    full = window(bundle, 3)
    per_line = 1 + full.codes.shape[1]
    without = replace(full, codes=full.codes[:0], channels=())
    lengths = [len(reader._encode(prompt.question(w, Person()))) for w in (full, without)]
    assert lengths[0] - lengths[1] == per_line * len(full.channels)


def test_no_telemetry() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert Version("1.26") <= Version(importlib.metadata.version("onnxruntime")) < Version("1.29")
