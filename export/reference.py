"""What the float32 weights said of a few windows, carried in the bundle: proof without the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from export.onnx import ExportError
from export.windows import Case, make_window
from pipeline.bundle import Bundle
from pipeline.prompt import Person
from pipeline.records import Float64

REFERENCE = "reference.json"


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window of no person, and the float32 weights' probabilities of the bundle's labels, in order."""

    channels: tuple[str, ...]
    codes: tuple[tuple[int, ...], ...]
    age: int | None
    gender: str | None
    p: tuple[float, ...]


def write_reference(path: Path, cases: Sequence[Case], p: Float64) -> None:
    told = [
        Told(
            case.window.channels,
            tuple(map(tuple, case.window.codes.tolist())),
            case.person.age,
            case.person.gender,
            tuple(round(x, 6) for x in row),
        )
        for case, row in zip(cases, p.tolist(), strict=True)
    ]
    path.write_bytes(b"[\n" + b",\n".join(msgspec.json.encode(one) for one in told) + b"\n]\n")


def read_reference(bundle: Bundle) -> tuple[list[Case], Float64]:
    """The cases and probabilities (n_cases, n_labels). Raises ExportError where the bundle carries none."""
    if REFERENCE not in bundle.manifest.files:
        raise ExportError(f"{bundle.path} carries no {REFERENCE}: give its trained weights with --trained")
    told = msgspec.json.decode((bundle.path / REFERENCE).read_bytes(), type=list[Told])
    cases = [
        Case(
            make_window(bundle.manifest.pipeline, one.channels, np.array(one.codes, dtype=np.int16)),
            Person(one.age, one.gender),
        )
        for one in told
    ]
    return cases, np.array([one.p for one in told])
