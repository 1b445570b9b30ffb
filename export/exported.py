"""An Optimum export taken apart: the weights by name, the shape by its configuration, nothing left over."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from export.onnx import ExportError

Float32 = npt.NDArray[np.float32]

CONFIG = "config.json"
_FAMILIES = ("qwen2", "llama")
# What would change the arithmetic and is not written into the fused graph; absent means the same as here.
_PLAIN: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "rope_scaling": (None,),
    "use_sliding_window": (False, None),
    "pretraining_tp": (1,),
    "rope_interleaved": (False,),
    "partial_rotary_factor": (1.0,),
    "quantization_config": (None,),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What the weights do not tell.

    longest: positions the model was made for; theta: base of the rotary angles.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    eps: float
    theta: float
    longest: int

    @classmethod
    def read(cls, config: Path) -> Shape:
        """Raises ExportError for any model that is not a plain Qwen2 or Llama."""
        try:
            told: dict[str, Any] = json.loads(config.read_text())
        except FileNotFoundError as error:
            raise ExportError(f"{config} is missing: give the folder that `export onnx` wrote") from error
        if told.get("model_type") not in _FAMILIES:
            raise ExportError(f"{config}: {told.get('model_type')!r} cannot be fused, only {_FAMILIES} can")
        for key, plain in _PLAIN.items():
            if key in told and told[key] not in plain:
                raise ExportError(f"{config}: {key} = {told[key]!r} is not known to the fusion")
        if set(told.get("layer_types") or ["full_attention"]) != {"full_attention"}:
            raise ExportError(f"{config}: layers of other than full attention are not known to the fusion")
        heads = told["num_attention_heads"]
        return cls(
            layers=told["num_hidden_layers"],
            heads=heads,
            kv_heads=told.get("num_key_value_heads") or heads,
            head_dim=told.get("head_dim") or told["hidden_size"] // heads,
            eps=told["rms_norm_eps"],
            theta=told.get("rope_theta", 10000.0),
            longest=told["max_position_embeddings"],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """weight: float32 (n_in, n_out); bias: float32 (n_out,) or None."""

    weight: Float32
    bias: Float32 | None


class Exported:
    """The weights of an unfused graph. What was never asked for is found by `leftover`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        graph = onnx.load(path).graph
        self._nodes = {node.name: node for node in graph.node}
        self._maker = {output: node for node in graph.node for output in node.output}
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._asked: set[str] = set()

    def embedding(self) -> Float32:
        """(vocabulary, hidden)."""
        return self._constant("/model/embed_tokens/Gather")

    def norm(self, name: str) -> Float32:
        """(hidden,)."""
        return self._constant(f"/{name}/Mul_1")

    def linear(self, name: str) -> Linear:
        add = f"/{name}/Add"
        bias = self._constant(add) if add in self._nodes else None
        weight = self._constant(f"/{name}/MatMul")
        if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[1:]):
            raise ExportError(f"{self.path}: {name} has the shape {weight.shape}, not that of a linear layer")
        return Linear(weight, bias)

    def leftover(self) -> list[str]:
        """Names of float tensors that hold more than rotary angles or numbers and that nobody asked for."""
        used = {self._root(name) for node in self._nodes.values() for name in node.input}
        return [
            name
            for name, tensor in self._weights.items()
            if name in used - self._asked
            and tensor.data_type == onnx.TensorProto.FLOAT
            and len([size for size in tensor.dims if size != 1]) > 0
            and not any("rotary" in user for user in self._users(name))
        ]

    def _users(self, name: str) -> list[str]:
        return [node.name for node in self._nodes.values() if name in node.input]

    def _constant(self, node_name: str) -> Float32:
        """The one constant input of a node, through whatever identities the exporter put before it."""
        node = self._nodes.get(node_name)
        if node is None:
            raise ExportError(f"{self.path}: no node {node_name}: not an export that the fusion knows")
        found = [root for name in node.input if (root := self._root(name)) in self._weights]
        if len(found) == 1:
            self._asked.add(found[0])
            return self._float32(found[0])
        # A head tied to the embedding again is the embedding, transposed in the graph.
        for name in node.input:
            maker = self._maker.get(name)
            if maker is not None and maker.op_type == "Transpose":
                root = self._root(maker.input[0])
                if root in self._weights:
                    self._asked.add(root)
                    return np.ascontiguousarray(self._float32(root).T)
        raise ExportError(f"{self.path}: {node_name} has {len(found)} constant inputs, one was expected")

    def _float32(self, name: str) -> Float32:
        tensor = self._weights[name]
        if tensor.data_type != onnx.TensorProto.FLOAT:
            raise ExportError(f"{self.path}: {name} is not float32: export before quantising")
        return np.asarray(numpy_helper.to_array(tensor), dtype=np.float32)

    def _root(self, name: str) -> str:
        # Equal tensors are stored once and reached through Identity nodes.
        while name not in self._weights and name in self._maker and self._maker[name].op_type == "Identity":
            name = self._maker[name].input[0]
        return name
