"""`corpus.json`: what a corpus was made of, and under which settings."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipeline.settings import PipelineSettings
from training.corpora.settings import CorpusSettings
from training.corpora.sitting import CorpusError
from training.recipe import Recipe

NAME = "corpus.json"
# Raised when examples or their files change their meaning: older corpora are then made anew.
VERSION = 1


class Made(msgspec.Struct, frozen=True):
    """What decides every byte of a corpus, the recordings apart."""

    version: int
    recipe: str
    labels: tuple[str, ...]
    montage: str
    """Name of the smaller headset; empty for the recipe's own montage."""
    pipeline: PipelineSettings
    corpus: CorpusSettings
    fingerprint: str
    """Of the signal chain: settings and the version of each stage."""


class Kept(msgspec.Struct, frozen=True):
    """One sitting's file."""

    name: str
    subject: str
    age: int | None
    gender: str | None
    sha256: str
    told: dict[str, int]
    """What became of its windows: examples, calibrating, unreadable, unlabelled, …"""
    notes: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True):
    made: Made
    whole: bool
    """False while sittings are being played."""
    sittings: tuple[Kept, ...] = ()


def made(recipe: Recipe, montage: str) -> Made:
    """Raises CorpusError where the recipe has no such montage."""
    pipeline = recipe.pipeline
    if montage:
        if montage not in recipe.montages:
            known = ", ".join(recipe.montages) or "none"
            raise CorpusError(f"recipe {recipe.name} has no montage {montage!r}; it has: {known}")
        pipeline = msgspec.structs.replace(pipeline, montage=recipe.montages[montage])
    return Made(
        version=VERSION,
        recipe=recipe.name,
        labels=recipe.labels,
        montage=montage,
        pipeline=pipeline,
        corpus=recipe.corpus,
        fingerprint=pipeline.fingerprint(),
    )


def read(folder: Path) -> Manifest | None:
    """None where there is none. Raises CorpusError, one line, where it cannot be read."""
    path = folder / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as why:
        raise CorpusError(f"{path}: damaged ({why}): remove {folder} and run the command again") from None


def refuse_other(folder: Path, there: Made, wanted: Made) -> None:
    """Raises CorpusError where a corpus was made under other settings: the line names the first of them."""
    if there == wanted:
        return
    found = _differences(msgspec.to_builtins(there), msgspec.to_builtins(wanted))
    # A fingerprint differs with whatever it is of, and says least.
    name, was, now = min(found, key=lambda one: one[0] == "fingerprint")
    raise CorpusError(
        f"{folder}: made under other settings ({name}: {was!r}, the recipe says {now!r}): "
        "remove the folder to make it anew, or give another --out"
    )


def _differences(one: object, two: object, name: str = "") -> list[tuple[str, object, object]]:
    if isinstance(one, dict) and isinstance(two, dict):
        return [
            found
            for key in sorted(one.keys() | two.keys())
            for found in _differences(one.get(key), two.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if one == two else [(name, one, two)]
