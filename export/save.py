"""Graphs on disk."""

from __future__ import annotations

from pathlib import Path

import onnx


def save(model: onnx.ModelProto, target: Path) -> None:
    """One file up to the 2 GB that protobuf can hold, else a second one beside it for the weights."""
    big = model.ByteSize() >= onnx.checker.MAXIMUM_PROTOBUF
    weights = target.name + "_data"
    target.with_name(weights).unlink(missing_ok=True)
    onnx.save(model, target, save_as_external_data=big, location=weights if big else None)
