"""`eeg-copilot bundle verify|show`"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.cli import DONE
from pipeline.bundle import Bundle, shipped_bundle


def run(options: argparse.Namespace) -> int:
    bundle = Bundle.load(Path(options.bundle) if options.bundle else shipped_bundle())
    manifest = bundle.manifest
    if options.what == "verify":
        print(f"{bundle.path}: {bundle.id} is whole and fits this program's signal chain")
        return DONE
    size = sum((bundle.path / name).stat().st_size for name in manifest.files)
    rows = {
        "bundle": f"{bundle.id}: {manifest.summary}",
        "folder": str(bundle.path),
        "sha256": bundle.sha256,
        "labels": f"{', '.join(manifest.labels)} ({manifest.label_schema})",
        "electrodes": f"{len(manifest.pipeline.montage)}: {' '.join(manifest.pipeline.montage)}",
        "windows": f"{manifest.pipeline.window:g} s every {manifest.pipeline.hop:g} s, "
        f"{manifest.pipeline.compression}, calibrated on {manifest.pipeline.calibration:g} s of rest",
        "size": f"{size / 1e6:.1f} MB, {manifest.quantisation}",
        "trained on": f"{manifest.training.data} ({manifest.training.licence})",
        "macro-F1": f"{manifest.metrics.macro_f1:.2f}, {manifest.metrics.protocol}",
        "baseline": f"{manifest.metrics.baseline_macro_f1:.2f}, {manifest.metrics.baseline}",
    }
    for name, value in rows.items():
        print(f"{name:>11}  {value}")
    return DONE
