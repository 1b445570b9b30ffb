"""A folder that the daemon accepts: manifest, hashes, model card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from export.card import card
from export.onnx import ExportError
from pipeline import prompt
from pipeline.bundle import CARD, MANIFEST, MODEL, TOKENIZER, Bundle, Manifest, Metrics, Training, file_sha256
from pipeline.settings import PipelineSettings


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the recipe cannot know: `provenance.toml`, written by whoever trained the model."""

    version: int
    summary: str
    quantisation: str
    abstain_below: float
    training: Training


def seal(model: Path, results: Path, provenance: Provenance, out: Path) -> Bundle:
    """Assembles the bundle from a quantised graph and the folder of its training results.

    The old bundle at `out` is replaced only by a whole new one.
    """
    recipe = _json(results / "recipe.json")
    evaluation = _json(results / "evaluation.json")
    fresh = out.with_name(out.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copyfile(model, fresh / MODEL)
    shutil.copyfile(results / TOKENIZER, fresh / TOKENIZER)
    settings = msgspec.convert(recipe["pipeline"], PipelineSettings)
    (fresh / CARD).write_text(card(recipe, evaluation, provenance))
    manifest = Manifest(
        name=recipe["name"],
        version=provenance.version,
        summary=provenance.summary,
        labels=tuple(recipe["labels"]),
        label_schema=recipe["name"],
        prompt_version=prompt.VERSION,
        quantisation=provenance.quantisation,
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
        files={name: file_sha256(fresh / name) for name in (MODEL, TOKENIZER, CARD)},
    )
    (fresh / MANIFEST).write_text(tomli_w.dumps(msgspec.to_builtins(manifest)))
    bundle = Bundle.load(fresh)  # what we ship is what the daemon will accept
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    return Bundle(path=out, manifest=bundle.manifest, sha256=bundle.sha256)


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ExportError(f"{path} is missing: run `python -m training evaluate` and `pretrain`") from error
    return found
