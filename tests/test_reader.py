"""The reader: probabilities of labels, whatever else is read at the same time."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

from pipeline import prompt
from pipeline.bundle import MODEL, TOKENIZER, Bundle, shipped_bundle
from pipeline.calibration import LEVELS, MIDDLE
from pipeline.errors import BundleError
from pipeline.model import Model
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.records import ChannelQuality, CompressedWindow, Span
from pipeline.scoring import LabelScorer, log_softmax
from pipeline.words import Words


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
    """Not on those it is read with, nor on those before it, nor on whose they were: bit for bit."""
    people = (Person(), Person(34, "female"), Person(), Person(71, "other"), Person(34, "female"))
    batch = [(window(bundle, seed, n), people[seed]) for seed, n in enumerate((19, 4, 12, 19, 7))]
    together = [reading.p for reading in reader.read(batch)]
    assert [reader.read([one])[0].p for one in batch] == together
    assert [reading.p for reading in reader.read(batch[::-1])] == together[::-1]
    assert [reading.p for reading in Reader(bundle, threads=1).read(batch)] == together


def test_more_people_than_are_remembered(bundle: Bundle, reader: Reader) -> None:
    one = window(bundle, 1)
    batch = [(one, person) for person in prompt.everyone()]
    first = [reading.p for reading in reader.read(batch)]
    assert [reading.p for reading in reader.read(batch)] == first
    assert len({tuple(p.values()) for p in first}) > len(batch) / 2


def test_the_cached_beginning_and_labels_of_several_tokens(bundle: Bundle) -> None:
    """Against scoring each text whole, from its start."""
    labels = ("calm", "stress and strain", "quite at rest")
    scorer = LabelScorer(
        model := Model(bundle.path / MODEL),
        words := Words(bundle.path / TOKENIZER),
        labels,
        bundle.manifest.pipeline,
    )
    assert [len(words.ids(prompt.answer(label))) > 1 for label in labels] == [False, True, True]
    for case, person in ((window(bundle, 1), Person()), (window(bundle, 2, 6), Person(50, "male"))):
        before = words.ids(prompt.question(case, person))
        expected = []
        for label in labels:
            behind = words.ids(prompt.answer(label))
            cache = model.cache(1, 300)
            told = log_softmax(model.run(cache, [before + behind], keep=len(behind) + 1)[0])
            expected.append(sum(told[i, token] for i, token in enumerate(behind)))
        # 8-bit activations are rounded anew where a text is cut.
        assert np.allclose(scorer.scores(case, person), expected, atol=0.1)


def test_a_tokenizer_that_joins_the_parts_of_a_prompt_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    """One whose tokens reach from the fixed text into the first line would not read what was trained."""
    told = json.loads((bundle.path / TOKENIZER).read_text())
    told["added_tokens"].append(
        {
            "id": 2,
            "content": "unknown\nFp1",
            "special": False,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
    )
    told["model"]["vocab"] |= {"unknown\nFp1": 2}
    (tmp_path / TOKENIZER).write_text(json.dumps(told))
    shutil.copy(bundle.path / MODEL, tmp_path)
    with pytest.raises(BundleError, match="joins"):
        Reader(replace(bundle, path=tmp_path)).read([(window(bundle, 1), Person())])


def test_memory_is_fixed_after_the_start(bundle: Bundle) -> None:
    reader = Reader(bundle)
    batch = [(window(bundle, n, n), Person(n, "male")) for n in range(4, 20)]
    reader.read(batch)
    before = resident_mb()
    for _ in range(40):
        reader.read(batch)
    assert resident_mb() - before < 2


def resident_mb() -> float:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(fields["VmRSS"].split()[0]) / 1024


def test_one_token_a_code(bundle: Bundle, reader: Reader) -> None:
    full = window(bundle, 3)
    per_line = 1 + full.codes.shape[1]
    without = replace(full, codes=full.codes[:0], channels=())
    lengths = [len(reader.words.ids(prompt.question(w, Person()))) for w in (full, without)]
    assert lengths[0] - lengths[1] == per_line * len(full.channels)


def test_no_telemetry() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert Version("1.26") <= Version(importlib.metadata.version("onnxruntime")) < Version("1.29")
