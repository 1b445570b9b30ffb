"""Records of arrays, one whole file each, that tell what they were made from."""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pipeline.whole import whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def keep(path: Path, record: DataclassInstance, fingerprint: str) -> None:
    """record: its fields are arrays. fingerprint: of all that decided them. Raises PipelineError."""
    arrays = {field.name: getattr(record, field.name) for field in fields(record)}
    with whole(path) as file:
        np.savez(file, fingerprint=fingerprint, **arrays)


def load(path: Path, kind: type[R]) -> R:
    with np.load(path, allow_pickle=False) as file:
        return kind(**{field.name: file[field.name] for field in fields(kind)})


def fingerprint_of(path: Path, kind: type[DataclassInstance]) -> str | None:
    """None where the file is not there, is damaged, or is of an earlier version and holds other arrays."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            there = {field.name for field in fields(kind)} <= set(file.files)
            return str(file["fingerprint"]) if there else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
