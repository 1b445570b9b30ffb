"""A bundle around weights never trained for labels: for measurements of speed, and it says no label."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from export.compare import Setting
from export.fuse import fuse
from export.onnx import export_onnx
from export.quantize import METHODS, quantize
from export.reference import REFERENCE, write_reference
from export.seal import carried, write_manifest
from pipeline import prompt
from pipeline.bundle import CARD, MODEL, TOKENIZER, Bundle, Manifest, Metrics, Training, file_sha256
from pipeline.settings import PipelineSettings

LABELS = ("calm", "stress")
# The paper's window: the 10-20 system's electrodes, 50 codes each.
SETTINGS = PipelineSettings(
    montage=(
        *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz"),
        *("C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
    ),
    compression="w50-energy",
)
# No probability reaches it: every reading is an abstention.
_NEVER = 1.01
_CARRIED = 8
_CARD = """# {name}

For measurements of speed. These weights were never trained to tell labels, and the bundle never says one.

**Research use only. Not a medical device.**
"""


def trial(trained: Path, out: Path, method: str = "q8", settings: PipelineSettings = SETTINGS) -> Bundle:
    """trained: folder that `export base` wrote, or any of a Qwen2 or Llama shape with a tokenizer."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        plain, fused = export_onnx(trained, Path(folder)), Path(folder) / "fused.onnx"
        fuse(plain, fused)
        quantize(fused, out / MODEL, method)
    shutil.copyfile(trained / TOKENIZER, out / TOKENIZER)
    setting = Setting(LABELS, settings, 1.0)
    write_reference(out / REFERENCE, *carried(trained, setting, _CARRIED))
    name = f"trial-{trained.name}"
    (out / CARD).write_text(_CARD.format(name=name))
    write_manifest(
        Manifest(
            name=name,
            version=1,
            summary="For measurements of speed; not trained for labels.",
            labels=LABELS,
            label_schema="trial",
            prompt_version=prompt.VERSION,
            quantisation=f"{method}: {METHODS[method].told}",
            abstain_below=_NEVER,
            fingerprint=settings.fingerprint(),
            pipeline=settings,
            training=Training(
                data="none", licence="that of the weights", attribution="", base=trained.name, pruning=""
            ),
            metrics=Metrics(protocol="none", macro_f1=0.0, baseline="none", baseline_macro_f1=0.0),
            files={file: file_sha256(out / file) for file in (MODEL, TOKENIZER, CARD, REFERENCE)},
        ),
        out,
    )
    return Bundle.load(out)
