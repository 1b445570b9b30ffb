"""Trained weights to an ONNX graph with a key-value cache, through Optimum."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

# Beside the graph stand the files that the next stages need.
_CARRIED = ("tokenizer.json", "recipe.json", "evaluation.json")


class ExportError(Exception):
    """An export that cannot be made or does not agree with its source: one line that says why."""


def export_onnx(trained: Path, out: Path) -> Path:
    """trained: folder written by `training fit`. Returns the graph's path, float32."""
    if not (trained / "config.json").is_file():
        raise ExportError(f"no trained model in {trained}: run `python -m training fit` first")
    from optimum.exporters.onnx import main_export

    out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The tracer warns of every Python branch in transformers' code; `verify` checks what came of it.
        warnings.simplefilter("ignore")
        main_export(
            str(trained),
            str(out),
            task="text-generation-with-past",
            # Tying lm_head to the embedding again would put a transpose of both before every run.
            no_post_process=True,
            do_validation=False,
        )
    for name in _CARRIED:
        if (trained / name).is_file():
            shutil.copyfile(trained / name, out / name)
    return out / "model.onnx"
