"""Does a bundle say what its weights say? By what it carries; step by step where the weights are given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from export.compare import Setting, compare
from export.fidelity import QUANTISED, Fidelity
from export.fuse import fuse
from export.onnx import ExportError, export_onnx
from export.reference import read_reference
from pipeline.bundle import MODEL, Bundle
from pipeline.reader import Reader


class Agreement(msgspec.Struct, frozen=True):
    """Over `windows` windows: share of equal labels, largest and mean difference of probabilities."""

    windows: int
    labels_equal: float
    gap_max: float
    gap_mean: float


def verify_carried(bundle: Bundle) -> Agreement:
    """The bundle's reader, on this machine, against what the float32 weights said of the windows it carries.

    Raises ExportError where they part, or where a reading depends on what was read before it.
    """
    cases, truth = read_reference(bundle)
    reader, batch = Reader(bundle), [(case.window, case.person) for case in cases]
    found = np.array([list(reading.p.values()) for reading in reader.read(batch)])
    backwards = np.array([list(reading.p.values()) for reading in reader.read(batch[::-1])])[::-1]
    if not np.array_equal(found, backwards):
        raise ExportError(f"{bundle.path}: readings depend on what is read with them")
    gap = np.abs(found - truth)
    agreement = Agreement(
        windows=len(cases),
        labels_equal=float((found.argmax(axis=1) == truth.argmax(axis=1)).mean()),
        gap_max=float(gap.max()),
        gap_mean=float(gap.mean()),
    )
    if not (agreement.labels_equal >= QUANTISED.labels_equal and agreement.gap_max <= QUANTISED.gap_max):
        raise ExportError(
            f"{bundle.path} departs from its float32 weights: labels agree on {agreement.labels_equal:.1%} "
            f"(at least {QUANTISED.labels_equal:.0%}), probabilities differ by up to {agreement.gap_max:.3f} "
            f"(at most {QUANTISED.gap_max})"
        )
    return agreement


def verify_steps(
    bundle: Bundle, trained: Path, data: Path | None = None, windows: int | None = None
) -> Iterator[Fidelity]:
    """The weights exported anew, fused anew, and the bundle's own graph, each against torch.

    Each is checked as it is told; raises ExportError at the first that breaks a bound.
    """
    setting = Setting.of_bundle(bundle)
    with tempfile.TemporaryDirectory() as folder:
        plain = export_onnx(trained, Path(folder) / "plain")
        fused = Path(folder) / "fused.onnx"
        fuse(plain, fused)
        forms = {"plain": plain, "fused": fused, "bundle": bundle.path / MODEL}
        yield from compare(setting, trained, forms, data, windows)
