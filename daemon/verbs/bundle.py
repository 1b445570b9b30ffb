"""`eeg-copilot bundle verify|show|sign`"""

from __future__ import annotations

import argparse
from pathlib import Path

from daemon.cli import DONE
from pipeline.bundle import Bundle, bundle_folder, read_manifest
from pipeline.bundle_signature import check_signature, write_signature
from pipeline.errors import KeyFileError
from pipeline.keys import private_key, public_text


def run(options: argparse.Namespace) -> int:
    bundle = Bundle.load(bundle_folder(options.bundle))
    if options.what == "sign":
        return _sign(bundle, options.key)
    manifest = bundle.manifest
    if options.what == "verify":
        signed = ""
        if options.trusted:
            key = check_signature(bundle.path, read_manifest(bundle.path), options.trusted)
            signed = f", signed by {key}"
        print(f"{bundle.path}: {bundle.id} is whole and fits this program's signal chain{signed}")
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


def _sign(bundle: Bundle, file: str | None) -> int:
    """What is signed was found whole before."""
    if file is None:
        raise KeyFileError("bundle sign: give --key FILE, as `eeg-copilot key new FILE` makes it")
    key = private_key(Path(file))
    print(f"{write_signature(bundle.path, read_manifest(bundle.path), key)}: signed by {public_text(key)}")
    return DONE
