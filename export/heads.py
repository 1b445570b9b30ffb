"""Attention heads in the width that the kernel takes: pruned heads may have any even one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from export.exported import Float32, Linear, Shape
from export.onnx import ExportError

# GroupQueryAttention rotates 16 numbers at a time.
_MULTIPLE = 16


class Heads:
    """Fits projections to the stored width. Added columns are zero and change nothing that is computed."""

    def __init__(self, shape: Shape) -> None:
        if shape.head_dim % 2:
            raise ExportError(f"heads of {shape.head_dim} cannot be rotated in pairs")
        self._shape = shape
        self.stored_dim = -(-shape.head_dim // _MULTIPLE) * _MULTIPLE

    def rotary(self, longest: int) -> tuple[Float32, Float32]:
        """Cosines and sines (longest, stored_dim / 2); an added pair does not turn."""
        dim = self._shape.head_dim
        angle = np.zeros((longest, self.stored_dim // 2))
        turns = self._shape.theta ** -(np.arange(0, dim, 2, dtype=np.float64) / dim)
        angle[:, : dim // 2] = np.outer(np.arange(longest), turns)
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def fit(self, q: Linear, k: Linear, v: Linear, o: Linear) -> tuple[Linear, Linear, Linear, Linear]:
        """Raises ExportError where the weights do not have the heads that the configuration tells of."""
        shape = self._shape
        for name, width, heads in (
            ("q_proj", q.weight.shape[1], shape.heads),
            ("k_proj", k.weight.shape[1], shape.kv_heads),
            ("v_proj", v.weight.shape[1], shape.kv_heads),
            ("o_proj", o.weight.shape[0], shape.heads),
        ):
            if width != heads * shape.head_dim:
                raise ExportError(f"{name} is {width} wide, not {heads} heads of {shape.head_dim}")
        if self.stored_dim == shape.head_dim:
            return q, k, v, o
        spread = Linear(self._wide(o.weight.T, self._plain).T, o.bias)
        return self._widen(q, self._pairs), self._widen(k, self._pairs), self._widen(v, self._plain), spread

    @property
    def _plain(self) -> npt.NDArray[np.int64]:
        return np.arange(self._shape.head_dim)

    @property
    def _pairs(self) -> npt.NDArray[np.int64]:
        # A number turns with the one half a head further on, so each half is widened by itself.
        half = self._shape.head_dim // 2
        return np.concatenate([np.arange(half), self.stored_dim // 2 + np.arange(half)])

    def _widen(self, linear: Linear, where: npt.NDArray[np.int64]) -> Linear:
        bias = None if linear.bias is None else self._wide(linear.bias[None], where)[0]
        return Linear(self._wide(linear.weight, where), bias)

    def _wide(self, columns: Float32, where: npt.NDArray[np.int64]) -> Float32:
        """(n, heads * head_dim) to (n, heads * stored_dim), each head's numbers at `where` of its place."""
        rows = len(columns)
        heads = columns.reshape(rows, -1, self._shape.head_dim)
        wide = np.zeros((rows, heads.shape[1], self.stored_dim), dtype=np.float32)
        wide[:, :, where] = heads
        return wide.reshape(rows, -1)
