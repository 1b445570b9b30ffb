"""From real recordings to a bundle that the daemon accepts, small and short."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from transformers.utils import logging as transformers_logging

from export.compare import FIDELITY, compare_all, fastest
from export.fuse import fuse
from export.onnx import ExportError, export_onnx
from export.quantize import quantize
from export.seal import Provenance, seal
from export.verify import verify_carried, verify_steps
from pipeline.bundle import Training
from pipeline.errors import BundleError
from pipeline.prompt import Person
from training import corpus, recipe, tokenizer
from training.augment import augmented
from training.corpora import eegmat
from training.corpora.settings import Eegmat
from training.evaluation.measures import calibration_error, fit_temperature
from training.evaluation.summary import summarise
from training.fit import LabelScorer, fit, scores

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def plan() -> recipe.Recipe:
    whole = recipe.load("eegmat")
    return msgspec.structs.replace(
        whole, folds=2, fit=msgspec.structs.replace(whole.fit, epochs=4, batch=16, average=0.1)
    )


@pytest.fixture(scope="module")
def examples(plan: recipe.Recipe, shared_data: Callable[[str], Path]) -> list[corpus.Example]:
    sittings = eegmat.sittings(Eegmat(), shared_data("eegmat"))[:3]
    return [example for sitting in sittings for example in corpus.examples(sitting, plan.pipeline)]


def test_the_corpus_is_what_the_daemon_would_see(examples: list[corpus.Example]) -> None:
    assert {example.subject for example in examples} == {"Subject01", "Subject04", "Subject05"}
    assert examples[0].person == Person(18, "female")  # by the table, not by the file's header
    for example in examples:
        assert example.window.method == "w5-energy/1"
        assert example.window.span.start_s >= 60
    of_one = [example for example in examples if example.subject == "Subject01"]
    labels = [example.label for example in of_one]
    assert labels == sorted(labels)  # all of calm, then all of stress
    assert 50 <= labels.count("calm") <= 58 and 20 <= labels.count("stress") <= 26


def test_a_data_set_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(corpus.CorpusError, match=r"subjects\.csv is missing"):
        eegmat.sittings(Eegmat(), tmp_path)
    (tmp_path / "subjects.csv").write_text("Subject,Age,Gender\nSubject01,18,F\n")
    with pytest.raises(corpus.CorpusError, match=r"Subject01_1\.edf, Subject01_2\.edf listed"):
        eegmat.sittings(Eegmat(), tmp_path)
    with pytest.raises(recipe.RecipeError, match="recipes there: eegmat"):
        recipe.load("unknown")


def test_augmentation_keeps_a_window_valid(plan: recipe.Recipe, examples: list[corpus.Example]) -> None:
    rng = np.random.default_rng(0)
    sizes = set()
    for example in examples[:200]:
        other = augmented(example, plan.augment, plan.pipeline.min_channels, rng)
        assert other.label == example.label
        assert other.window.codes.shape == (len(other.window.channels), 5)
        assert other.window.codes.min() >= 0 and other.window.codes.max() <= 31
        assert set(other.window.channels) <= set(example.window.channels)
        sizes.add(len(other.window.channels))
    assert min(sizes) < 12 and max(sizes) == 19


def test_train_export_seal_verify(
    plan: recipe.Recipe,
    examples: list[corpus.Example],
    shared_data: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """The whole way with few people and few steps; what is learnt is asked of the people trained on."""
    words = tokenizer.train(plan.labels)
    model = fit(plan, words, examples, CPU, "test")
    logits = scores(model, LabelScorer(words, plan.labels, CPU), examples)
    labels = np.array([plan.labels.index(example.label) for example in examples])
    balanced = np.mean([(logits.argmax(axis=1) == labels)[labels == k].mean() for k in (0, 1)])
    assert balanced > 0.7

    people = np.array([example.subject for example in examples])
    folds = (people == people[0]).astype(np.int64)
    evaluation = summarise(plan, labels, people, logits, labels, folds)
    assert evaluation.svm.macro_f1 == 1.0 and evaluation.people == 3

    trained = tmp_path / "trained"
    model.save_pretrained(trained)
    words.save(str(trained / "tokenizer.json"))
    (trained / "recipe.json").write_bytes(msgspec.json.encode(plan))
    (trained / "evaluation.json").write_bytes(msgspec.json.encode(evaluation))
    transformers_logging.set_verbosity_error()
    graphs = tmp_path / "onnx"
    fuse(export_onnx(trained, graphs), graphs / "fused.onnx")
    for method in ("q8", "i8r"):
        quantize(graphs / "fused.onnx", graphs / f"{method}.onnx", method)
    assert (graphs / "q8.onnx").stat().st_size < 0.7 * (graphs / "fused.onnx").stat().st_size
    data = tmp_path / "data"
    first_person(shared_data("eegmat"), data)
    rows = list(compare_all(trained, graphs, data, windows=40))
    assert [row.form for row in rows] == ["plain", "fused", "q8", "i8r"]
    assert all(row.real and row.labels_equal >= 0.97 for row in rows)
    # Which of them is the faster is the machine's affair.
    assert fastest(rows) in ("q8", "i8r") and (graphs / FIDELITY).is_file()

    told = Provenance(7, "A test.", 0.5, Training("d", "l", "a", "b", "none"))
    bundle = seal(graphs / "q8.onnx", trained, told, tmp_path / "bundle")
    assert bundle.id == "calm-stress-7"
    assert bundle.manifest.quantisation.startswith("q8: ")
    assert "40 real windows" in (bundle.path / "MODEL_CARD.md").read_text()
    assert verify_carried(bundle).labels_equal >= 0.99
    assert len(list(verify_steps(bundle, trained, data, windows=40))) == 3

    # Other weights than the bundle's must be told apart.
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    torch.manual_seed(99)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(other)
    with pytest.raises(ExportError, match="bundle departs from"):
        list(verify_steps(bundle, other, windows=40))


def first_person(source: Path, target: Path) -> None:
    """A data set of one person."""
    target.mkdir()
    lines = (source / "subjects.csv").read_text().splitlines(keepends=True)
    (target / "subjects.csv").write_text("".join(lines[:2]))
    for part in (1, 2):
        name = f"{lines[1].split(',')[0]}_{part}.edf"
        (target / name).symlink_to((source / name).resolve())


def test_a_fit_can_be_repeated(plan: recipe.Recipe, examples: list[corpus.Example]) -> None:
    short = msgspec.structs.replace(plan, fit=msgspec.structs.replace(plan.fit, epochs=1))
    words = tokenizer.train(plan.labels)
    some = examples[::6]
    one, two = (fit(short, words, some, CPU, "test").state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("windows", [3, 16, 160])
def test_a_fit_of_few_windows_ends(plan: recipe.Recipe, examples: list[corpus.Example], windows: int) -> None:
    """Fewer than a batch; one step; and a warm-up of one step."""
    few = msgspec.structs.replace(plan.fit, epochs=1, batch=16, warmup=0.1)
    some = examples[:: len(examples) // windows][:windows]
    model = fit(msgspec.structs.replace(plan, fit=few), tokenizer.train(plan.labels), some, CPU, "test")
    assert all(bool(torch.isfinite(weight).all()) for weight in model.parameters())


def test_temperature_mends_overconfidence() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, 4000)
    labels = (rng.random(4000) < p).astype(np.int64)
    honest = np.stack([np.zeros(4000), np.log(p / (1 - p))], axis=1)
    assert fit_temperature(3 * honest, labels) == pytest.approx(3, rel=0.1)
    even = np.stack([1 - p, p], axis=1)
    assert calibration_error(even, labels) < 0.03
    assert calibration_error(np.eye(2)[labels], 1 - labels) == pytest.approx(1)


def test_verbs_say_what_is_missing(tmp_path: Path) -> None:
    for words, told in (
        (
            ["training", "evaluate", "--data", str(tmp_path), "--out", str(tmp_path)],
            "subjects.csv is missing",
        ),
        (["export", "onnx", str(tmp_path), str(tmp_path / "o")], "run `python -m training fit` first"),
        (["export", "verify", str(tmp_path)], "no bundle at"),
    ):
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
        assert done.returncode == 1
        assert told in done.stderr and "Traceback" not in done.stderr


def test_a_bundle_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "bundle"
    results.mkdir()
    out.mkdir()
    (out / "kept").write_text("old")
    told = Provenance(1, "s", 0.5, Training("d", "l", "a", "b", "none"))
    with pytest.raises((ExportError, BundleError)):
        seal(tmp_path / "none.onnx", results, told, out)
    assert (out / "kept").read_text() == "old"
