"""Nodes and constants of a graph in the making, with names of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

# ONNX Runtime's own operators live here.
CONTRIB = "com.microsoft"
_OPSET = 17
_IR = 9

Dims = Sequence[int | str]


class GraphBuilder:
    """Collects what `model` puts together. Every output is named after the node that makes it."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def node(
        self, op: str, inputs: Sequence[str], name: str, more: Sequence[str] = (), **attributes: Any
    ) -> str:
        """Returns the first output's name, which is `name`. more: names of further outputs."""
        self._nodes.append(helper.make_node(op, inputs, [name, *more], name=name, **attributes))
        return name

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def ints(self, *values: int) -> str:
        """An int64 vector, stored once however often it is asked for."""
        return self.constant(f"ints{list(values)}", np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """An int64 scalar."""
        return self.constant(f"int {value}", np.array(value, np.int64))

    def input(self, name: str, dims: Dims, kind: int = TensorProto.INT64) -> None:
        self._inputs.append(helper.make_tensor_value_info(name, kind, dims))

    def output(self, name: str, dims: Dims, kind: int = TensorProto.FLOAT) -> None:
        self._outputs.append(helper.make_tensor_value_info(name, kind, dims))

    def model(self, metadata: Mapping[str, str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes, "fused", self._inputs, self._outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR)
        helper.set_model_props(model, dict(metadata))
        return model
