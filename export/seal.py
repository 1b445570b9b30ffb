"""A folder that the daemon accepts: manifest, hashes, model card, some answers of the float32 weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from export.answers import TorchAnswers
from export.card import card
from export.compare import FIDELITY, Setting
from export.fidelity import Fidelity
from export.onnx import ExportError
from export.reference import REFERENCE, write_reference
from export.windows import Case, random_cases
from pipeline import prompt
from pipeline.bundle import (
    CARD,
    MANIFEST,
    MODEL,
    TOKENIZER,
    Bundle,
    Manifest,
    Metrics,
    Training,
    file_sha256,
    read_manifest,
)
from pipeline.bundle_signature import write_signature
from pipeline.model import QUANTISATION
from pipeline.records import Float64
from pipeline.scoring import probabilities
from pipeline.settings import PipelineSettings
from pipeline.whole import whole_folder

# Windows of the carried reference: enough to see a wrong graph, a few kilobytes.
_CARRIED = 48


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the recipe cannot know: a TOML file, written by whoever trained the model."""

    version: int
    summary: str
    abstain_below: float
    training: Training


def seal(
    model: Path,
    results: Path,
    provenance: Provenance,
    out: Path,
    key: Ed25519PrivateKey | None = None,
) -> Bundle:
    """Assembles the bundle from a fused graph and the folder of trained weights and their evaluation.

    The figures of `export compare` are told in the card where they lie beside the graph. The old bundle at
    `out` is replaced only by a whole new one. key: signs the bundle.
    """
    recipe = _json(results / "recipe.json")
    evaluation = _json(results / "evaluation.json")
    quantisation = _quantisation(model)
    reference = carried(results, Setting.of_results(results), _CARRIED)
    with whole_folder(out) as fresh:
        shutil.copyfile(model, fresh / MODEL)
        shutil.copyfile(results / TOKENIZER, fresh / TOKENIZER)
        write_reference(fresh / REFERENCE, *reference)
        (fresh / CARD).write_text(card(recipe, evaluation, provenance, quantisation, _fidelity(model)))
        write_manifest(_manifest(fresh, recipe, evaluation, provenance, quantisation), fresh)
        if key is not None:
            write_signature(fresh, read_manifest(fresh), key)
        bundle = Bundle.load(fresh)  # what we ship is what the daemon will accept
    return Bundle(path=out, manifest=bundle.manifest, sha256=bundle.sha256)


def _manifest(
    folder: Path,
    recipe: dict[str, Any],
    evaluation: dict[str, Any],
    provenance: Provenance,
    quantisation: str,
) -> Manifest:
    settings = msgspec.convert(recipe["pipeline"], PipelineSettings)
    return Manifest(
        name=recipe["name"],
        version=provenance.version,
        summary=provenance.summary,
        labels=tuple(recipe["labels"]),
        label_schema=recipe["name"],
        prompt_version=prompt.VERSION,
        quantisation=quantisation,
        temperature=evaluation["temperature"],
        abstain_below=provenance.abstain_below,
        fingerprint=settings.fingerprint(),
        pipeline=settings,
        training=provenance.training,
        metrics=Metrics(
            protocol=f"{evaluation['people']} people in {evaluation['folds']} folds, people held out, "
            f"{settings.window:g}-s windows, calibrated on {settings.calibration:g} s of rest",
            macro_f1=evaluation["model"]["macro_f1"],
            baseline="SVM-RBF on the same codes in the same folds",
            baseline_macro_f1=evaluation["svm"]["macro_f1"],
        ),
        files={name: file_sha256(folder / name) for name in (MODEL, TOKENIZER, CARD, REFERENCE)},
    )


def write_manifest(manifest: Manifest, folder: Path) -> None:
    (folder / MANIFEST).write_text(tomli_w.dumps(msgspec.to_builtins(manifest)))


def _quantisation(model: Path) -> str:
    """As the graph itself tells it."""
    try:
        told: dict[str, str] = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    except (OSError, onnx.onnx_cpp2py_export.checker.ValidationError) as error:
        raise ExportError(f"{model}: {error}") from error
    return told.get(QUANTISATION, "none: float32")


def carried(trained: Path, setting: Setting, n: int) -> tuple[list[Case], Float64]:
    """Random windows, and what the weights say of them: (n, n_labels)."""
    torch = TorchAnswers(trained, setting.labels)
    cases = random_cases(setting.pipeline, n, seed=2)
    scores = np.stack([torch.scores(case.window, case.person) for case in cases])
    return cases, probabilities(scores, setting.temperature)


def _fidelity(model: Path) -> list[Fidelity]:
    path = model.with_name(FIDELITY)
    return msgspec.json.decode(path.read_bytes(), type=list[Fidelity]) if path.is_file() else []


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ExportError(f"{path} is missing: run `python -m training evaluate` and `fit`") from error
    return found
