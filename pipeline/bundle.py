"""A bundle: the folder that holds all the daemon needs to read a window, and proof that it is whole."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from pipeline import prompt
from pipeline.bundle_signature import check_signature
from pipeline.errors import BundleError
from pipeline.plain_file import open_plain, read_at_most
from pipeline.settings import PipelineSettings

MANIFEST = "bundle.toml"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CARD = "MODEL_CARD.md"
REQUIRED = (MODEL, TOKENIZER, CARD)
# A manifest is a page of text; anything larger is not one.
_MANIFEST_LIMIT = 1 << 20
# Of all other files, 0.4 GB in the largest bundles: a sparse file may have more than anybody can read.
_FILES_LIMIT = 16 << 30


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model learnt from."""

    data: str
    licence: str
    attribution: str
    base: str
    pruning: str


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures on people the model never saw, and how they were taken. Macro-F1 unless said otherwise."""

    protocol: str
    macro_f1: float
    baseline: str
    baseline_macro_f1: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`bundle.toml`."""

    name: str
    version: Annotated[int, Meta(ge=0, le=10**9)]
    summary: str
    labels: tuple[str, ...]
    """In the order of the probabilities."""
    label_schema: str
    prompt_version: int
    quantisation: str
    temperature: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    """Label scores are divided by it; fitted on held-out people so that probabilities mean what they say."""
    abstain_below: Annotated[float, Meta(ge=0, le=2)] = 0.0
    """The reader abstains where its best label is less probable than this: always, above 1."""
    fingerprint: str
    pipeline: PipelineSettings
    training: Training
    metrics: Metrics
    files: dict[str, str]
    """sha256 of every other file of the bundle."""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.version}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose hashes and fingerprint were found right.

    sha256: of the manifest, which itself holds the sha256 of every file.
    """

    path: Path
    manifest: Manifest
    sha256: str

    @property
    def id(self) -> str:
        return self.manifest.id

    @classmethod
    def load(cls, path: Path, trusted: Collection[str] = ()) -> Bundle:
        """Raises BundleError, one line, where the bundle is missing, damaged or of another pipeline.

        trusted: public keys as text; where there are any, one of them has to have signed the bundle.
        """
        raw = read_manifest(path)
        if trusted:
            check_signature(path, raw, trusted)
        try:
            manifest = msgspec.convert(tomllib.loads(raw.decode()), Manifest)
            fingerprint = manifest.pipeline.fingerprint()
        # ValueError: no TOML, no UTF-8, or a number of thousands of digits.
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            raise BundleError(
                f"{path / MANIFEST}: {error}: the manifest is damaged, restore the bundle"
            ) from error
        _check_files(path, manifest)
        if manifest.prompt_version != prompt.VERSION or manifest.fingerprint != fingerprint:
            raise BundleError(
                f"{path}: made for another signal chain or prompt (fingerprint {manifest.fingerprint[:12]}, "
                f"this program's is {fingerprint[:12]}): install the matching release or retrain"
            )
        return cls(path=path, manifest=manifest, sha256=hashlib.sha256(raw).hexdigest())


def bundle_folder(chosen: str | None) -> Path:
    """The folder that somebody chose, or the shipped bundle's."""
    return Path(chosen) if chosen else shipped_bundle()


def shipped_bundle() -> Path:
    """The bundle that comes with the program."""
    return Path(str(resources.files("pipeline"))) / "bundles" / "calm-stress"


def file_sha256(path: Path) -> str:
    """Raises OSError."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(path: Path) -> bytes:
    """Its bytes, whatever is in them. Raises BundleError."""
    manifest = path / MANIFEST
    try:
        raw = read_at_most(manifest, _MANIFEST_LIMIT)
    except OSError as error:
        raise BundleError(
            f"no bundle at {path} ({error.strerror}): give a folder that holds {MANIFEST}"
        ) from error
    if raw is None:
        raise BundleError(f"{manifest}: over {_MANIFEST_LIMIT} bytes, not a manifest")
    return raw


def _check_files(path: Path, manifest: Manifest) -> None:
    missing = [name for name in REQUIRED if name not in manifest.files]
    if missing:
        raise BundleError(f"{path / MANIFEST}: no hash for {', '.join(missing)}: the bundle was not sealed")
    left = _FILES_LIMIT
    for name, expected in manifest.files.items():
        # A name is a plain file beside the manifest, never a way out of the folder.
        if Path(name).name != name:
            raise BundleError(f"{path / MANIFEST}: {name!r} is not a plain file name")
        try:
            with open_plain(path / name) as file:
                left -= os.fstat(file.fileno()).st_size
                if left < 0:
                    raise BundleError(f"{path}: its files are over {_FILES_LIMIT} bytes: restore the bundle")
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise BundleError(f"{path / name}: {error.strerror}: restore the bundle") from error
        if found != expected:
            raise BundleError(
                f"{path / name}: sha256 is {found[:12]}…, the manifest says {expected[:12]}…: "
                "the file was changed or damaged, restore the bundle"
            )
