"""Products in int8 whose activations are scaled row by row: no row's result touches another's.

Dynamic quantisation as ONNX Runtime does it takes one scale for a whole run, which a few large activations
spoil for all; its block-wise products take a scale every 32 activations, which costs twice the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.builder import CONTRIB

# ONNX Runtime multiplies unsigned activations with signed weights; 128 is their zero.
_ZERO = 128
_MOST = 127
_TINY = float(np.finfo(np.float32).tiny)
_CONSTANTS: dict[str, npt.NDArray[Any]] = {
    "rows.most": np.array(_MOST, np.float32),
    "rows.tiny": np.array(_TINY, np.float32),
    "rows.nothing": np.array(0, np.float32),
    "rows.one": np.array(1, np.float32),
    "rows.zero": np.array(_ZERO, np.float32),
    "rows.unsigned": np.array(_ZERO, np.uint8),
    "rows.last": np.array([-1], np.int64),
}


@dataclass(frozen=True, slots=True)
class _Small:
    """Names of an input in uint8, (batch, length, width), and of its scales, (batch, length, 1)."""

    values: str
    scale: str


def scale_rows(model: onnx.ModelProto, skip: str) -> onnx.ModelProto:
    """Rewrites all MatMul nodes but that of the name `skip`. Weights: int8, a scale a column."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in _CONSTANTS.items())
    small: dict[str, _Small] = {}
    late: dict[str, str] = {}  # inputs that lack a scale a row, and which
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != "MatMul" or node.name == skip:
            nodes.append(node)
            continue
        x, name = node.input
        weight = numpy_helper.to_array(weights[name])
        scale = np.maximum(np.abs(weight).max(axis=0), _TINY) / _MOST
        graph.initializer.remove(weights[name])
        graph.initializer.extend(
            [
                numpy_helper.from_array(np.rint(weight / scale).astype(np.int8), f"{name}.int8"),
                numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"),
            ]
        )
        if x not in small:
            width = f"rows.width{len(weight)}"
            if all(tensor.name != width for tensor in graph.initializer):
                shape = np.array([-1, len(weight)], np.int64)
                graph.initializer.append(numpy_helper.from_array(shape, width))
            small[x] = _quantise(nodes, x, width, late.get(x))
        given = [small[x].values, f"{name}.int8", "rows.one", f"{name}.scale", "rows.unsigned"]
        factor = _only_a_factor(graph, node.output[0], skip)
        product = node.output[0] if factor else f"{node.name}/product"
        nodes.append(helper.make_node("MatMulIntegerToFloat", given, [product], name=product, domain=CONTRIB))
        if factor:
            late[factor] = small[x].scale
        else:
            nodes.append(
                helper.make_node("Mul", [product, small[x].scale], list(node.output), name=node.name)
            )
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _only_a_factor(graph: onnx.GraphProto, output: str, skip: str) -> str | None:
    """The product that `output` goes into, if only weights whose inputs get a scale a row read that.

    Their small numbers are the same whatever a row is multiplied by. So its own scale can wait, and one pass
    less goes over the widest rows of all.
    """
    products = [node for node in graph.node if output in node.input]
    if len(products) != 1 or products[0].op_type != "Mul":
        return None
    (told,) = products[0].output
    readers = [node for node in graph.node if told in node.input]
    scaled = all(node.op_type == "MatMul" and node.name != skip for node in readers)
    return told if readers and scaled else None


def _quantise(nodes: list[NodeProto], x: str, width: str, late: str | None) -> _Small:
    def node(op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        output = f"{x}/{name}"
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    high = node("ReduceMax", [x], "high", axes=[-1], keepdims=1)
    low = node("Neg", [node("ReduceMin", [x], "low", axes=[-1], keepdims=1)], "negative")
    scale = node("Div", [node("Max", [high, low, "rows.tiny"], "reach"), "rows.most"], "scale")
    # A scale a row is only taken for a matrix, and with a zero a row.
    scales = node("Reshape", [scale, "rows.last"], "scales")
    zeros = node("Add", [node("Mul", [scales, "rows.nothing"], "nothing"), "rows.zero"], "zeros")
    zeros = node("Cast", [zeros], "unsigned", to=TensorProto.UINT8)
    matrix = node("QuantizeLinear", [node("Reshape", [x, width], "matrix"), scales, zeros], "small", axis=0)
    rows = node("Reshape", [matrix, node("Shape", [x], "shape")], "rows")
    return _Small(rows, scale if late is None else node("Mul", [scale, late], "whole"))
