"""Smaller weights: one table of methods, embedding and head included: no vocabulary rules the file.

What each costs in fidelity is measured by `export compare`, model by model.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

from export.onnx import ExportError
from export.rows import scale_rows
from export.save import save
from pipeline.model import FORMAT, QUANTISATION, SHARED_SCALE

# Weights that share a scale.
_BLOCK = 32
# Activations in int8 too, scaled block by block of each row: no row touches another's result.
_ACCURACY_LEVEL = 4
_EMBEDDING = "/embedding"


@dataclass(frozen=True, slots=True)
class Method:
    """told: what a manifest says.

    shared_scale: activations are scaled over all rows and positions of a run, so that a result depends on
    what else is in the run.
    """

    told: str
    apply: Callable[[onnx.ModelProto], onnx.ModelProto]
    shared_scale: bool


def quantize(source: Path, target: Path, method: str) -> None:
    """source: fused graph in float32; target: the quantised graph, its metadata telling the method."""
    how = METHODS[method]
    model = onnx.load(source)
    if FORMAT not in {entry.key for entry in model.metadata_props}:
        raise ExportError(f"{source}: not a fused graph: run `python -m export fuse` first")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    model = _small_embedding(how.apply(model))
    metadata |= {QUANTISATION: f"{method}: {how.told}", SHARED_SCALE: str(int(how.shared_scale))}
    helper.set_model_props(model, metadata)
    target.parent.mkdir(parents=True, exist_ok=True)
    save(model, target)


def _blocks(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    config = DefaultWeightOnlyQuantConfig(
        block_size=_BLOCK, is_symmetric=True, accuracy_level=_ACCURACY_LEVEL, bits=bits
    )
    # It tells of every node it leaves alone.
    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(model, algo_config=config)
    quantizer.process()
    found: onnx.ModelProto = quantizer.model.model
    return found


def _dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        save(model, source)
        # It tells of its own advice on preparing graphs, which a fused one does not need.
        logging.disable(logging.WARNING)
        try:
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": TensorProto.FLOAT},
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(target)


def _small_embedding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The embedding's rows in int8, a scale each."""
    graph = model.graph
    at, gather = next((i, n) for i, n in enumerate(graph.node) if n.name == _EMBEDDING)
    name, ids = gather.input
    tensor = next(t for t in graph.initializer if t.name == name)
    rows = numpy_helper.to_array(tensor)
    scale = np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / 127
    small = np.round(rows / scale).astype(np.int8)
    graph.initializer.remove(tensor)
    graph.initializer.extend(
        [
            numpy_helper.from_array(small, f"{name}.int8"),
            numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"),
        ]
    )
    nodes = [
        helper.make_node("Gather", [f"{name}.int8", ids], ["/embedding/int8"], name="/embedding/rows"),
        helper.make_node(
            "Cast", ["/embedding/int8"], ["/embedding/wide"], name="/embedding/cast", to=TensorProto.FLOAT
        ),
        helper.make_node("Gather", [f"{name}.scale", ids], ["/embedding/scale"], name="/embedding/scales"),
        helper.make_node(
            "Mul", ["/embedding/wide", "/embedding/scale"], list(gather.output), name=_EMBEDDING
        ),
    ]
    kept = [*graph.node[:at], *nodes, *graph.node[at + 1 :]]
    del graph.node[:]
    graph.node.extend(kept)
    return model


METHODS = {
    "q8": Method("weights in 8-bit blocks of 32; embedding in int8 rows", lambda m: _blocks(m, 8), False),
    "q4": Method("weights in 4-bit blocks of 32; embedding in int8 rows", lambda m: _blocks(m, 4), False),
    "int8": Method("dynamic int8; embedding in int8 rows", _dynamic, True),
    "i8r": Method(
        "int8, activations scaled row by row, head in 8-bit blocks of 32; embedding in int8 rows",
        lambda m: _blocks(scale_rows(m, skip="logits"), 8),
        False,
    ),
}
