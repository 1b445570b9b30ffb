"""Smaller weights: one table of methods, embedding and head included: no vocabulary rules the file.

What each costs in fidelity is measured by `export compare`, model by model.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from export.blocks import rounded, to_blocks
from export.compensated import compensated, moments, own_texts
from export.onnx import ExportError
from export.rows import scale_rows
from export.save import save
from pipeline.model import FORMAT, QUANTISATION, SHARED_SCALE

_EMBEDDING = "/embedding"
# Of 4-bit weights whose rounding is made up for: as near as llama.cpp's Q4_0 of 32, in less to read.
_COMPENSATED_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Method:
    """told: what a manifest says. apply: to a graph in memory, and where it lies.

    shared_scale: activations are scaled over all rows and positions of a run, so that a result depends on
    what else is in the run.
    """

    told: str
    apply: Callable[[onnx.ModelProto, Path], onnx.ModelProto]
    shared_scale: bool


def quantize(source: Path, target: Path, method: str) -> None:
    """source: fused graph in float32; target: the quantised graph, its metadata telling the method.

    Raises ExportError where there is no such method, or the graph is no fused one.
    """
    if method not in METHODS:
        raise ExportError(f"no method {method}: there are {', '.join(METHODS)}")
    how = METHODS[method]
    model = onnx.load(source)
    if FORMAT not in {entry.key for entry in model.metadata_props}:
        raise ExportError(f"{source}: not a fused graph: run `python -m export fuse` first")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    model = _small_embedding(how.apply(model, source))
    metadata |= {QUANTISATION: f"{method}: {how.told}", SHARED_SCALE: str(int(how.shared_scale))}
    helper.set_model_props(model, metadata)
    target.parent.mkdir(parents=True, exist_ok=True)
    save(model, target)


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
    """The embedding in int8, in blocks as weights are; what fills its width up is cut off again."""
    graph = model.graph
    at, gather = next((i, n) for i, n in enumerate(graph.node) if n.name == _EMBEDDING)
    name, ids = gather.input
    tensor = next(t for t in graph.initializer if t.name == name)
    rows = numpy_helper.to_array(tensor)
    values, scales = rounded(rows)
    graph.initializer.remove(tensor)
    graph.initializer.extend(
        [
            numpy_helper.from_array(values, f"{name}.int8"),
            numpy_helper.from_array(scales[..., None], f"{name}.scales"),
            numpy_helper.from_array(np.array([0, 0, -1], np.int64), "/embedding/shape"),
            numpy_helper.from_array(np.array([0], np.int64), "/embedding/first"),
            numpy_helper.from_array(np.array([rows.shape[1]], np.int64), "/embedding/width"),
            numpy_helper.from_array(np.array([-1], np.int64), "/embedding/axis"),
        ]
    )

    def node(op: str, *inputs: str, name: str, **attributes: Any) -> NodeProto:
        return helper.make_node(op, inputs, [name], name=name, **attributes)

    nodes = [
        node("Gather", f"{name}.int8", ids, name="/embedding/int8"),
        node("Cast", "/embedding/int8", name="/embedding/float", to=TensorProto.FLOAT),
        node("Gather", f"{name}.scales", ids, name="/embedding/scales"),
        node("Mul", "/embedding/float", "/embedding/scales", name="/embedding/blocks"),
        node("Reshape", "/embedding/blocks", "/embedding/shape", name="/embedding/rows"),
        node(
            "Slice",
            "/embedding/rows",
            "/embedding/first",
            "/embedding/width",
            "/embedding/axis",
            name=_EMBEDDING,
        ),
    ]
    kept = [*graph.node[:at], *nodes, *graph.node[at + 1 :]]
    del graph.node[:]
    graph.node.extend(kept)
    return model


def _compensated(model: onnx.ModelProto, source: Path) -> onnx.ModelProto:
    moment, block = moments(model, own_texts(source)), _COMPENSATED_BLOCK
    return to_blocks(model, 4, block, lambda name, weight: compensated(weight, moment[name], block))


def _eight(model: onnx.ModelProto) -> onnx.ModelProto:
    return to_blocks(model, 8, rounding=lambda _, weight: rounded(weight.T))


METHODS = {
    "q8": Method("weights and embedding in 8-bit blocks of 32", lambda m, _: _eight(m), False),
    "q4": Method("weights in 4-bit, embedding in 8-bit blocks of 32", lambda m, _: to_blocks(m, 4), False),
    "g4": Method(
        "weights in 4-bit blocks of 64, rounding made up for (GPTQ); embedding in 8-bit blocks of 32",
        _compensated,
        False,
    ),
    "int8": Method("dynamic int8; embedding in 8-bit blocks of 32", lambda m, _: _dynamic(m), True),
    "i8r": Method(
        "int8, activations scaled row by row; head and embedding in 8-bit blocks of 32",
        lambda m, _: _eight(scale_rows(m, skip="logits")),
        False,
    ),
}
