"""Weights in blocks that share a scale; `rounded` takes of a few scales the one that loses least.

ONNX Runtime's quantizer ends a block's range at its largest weight. A range that ends a little behind it
often rounds the others better; llama.cpp's `make_qx_quants` searches alike for formats of its own. What did
not help is in docs/lab-notes.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

from pipeline.records import Float32

BLOCK = 32
# Activations in int8 too, scaled block by block of each row: no row touches another's result.
_ACCURACY_LEVEL = 4
# Of whole numbers: from -128 to 127.
_LIMIT = 128
# Where ranges end, in largest weights.
_ENDS = 1 / np.linspace(0.9, 1.0, 11, dtype=np.float32)
# Outputs of a product that are looked at together, for memory's sake.
_TOGETHER = 4096


Rounding = Callable[[str, Float32], tuple[npt.NDArray[np.int8], Float32]]
"""A name and its weights, (inputs, outputs), to whole numbers, (outputs, blocks, block), and their scales."""


def to_blocks(
    model: onnx.ModelProto, bits: int, block: int = BLOCK, rounding: Rounding | None = None
) -> onnx.ModelProto:
    """All MatMul nodes that are left, with weights in 4 or 8 bits; rounding is ONNX Runtime's where None."""
    weights = _matrices(model) if rounding is not None else {}
    config = DefaultWeightOnlyQuantConfig(
        block_size=block, is_symmetric=True, accuracy_level=_ACCURACY_LEVEL, bits=bits
    )
    # It tells of every node it leaves alone.
    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(model, algo_config=config)
    quantizer.process()
    found: onnx.ModelProto = quantizer.model.model
    if rounding is not None:
        tensors = {tensor.name: tensor for tensor in found.graph.initializer}
        for name, matrix in weights.items():
            values, scales = rounding(name, matrix)
            _put(tensors[f"{name}_Q{bits}"], _packed(values, bits))
            _put(tensors[f"{name}_scales"], scales)
    return found


def _packed(values: npt.NDArray[np.int8], bits: int) -> npt.NDArray[np.uint8]:
    """Unsigned, as MatMulNBits reads them; two of 4 bits in a byte, the first one low."""
    unsigned = (values.astype(np.int16) + (1 << (bits - 1))).astype(np.uint8)
    if bits == 8:
        return unsigned
    return np.bitwise_or(unsigned[..., ::2], np.left_shift(unsigned[..., 1::2], 4, dtype=np.uint8))


def _matrices(model: onnx.ModelProto) -> dict[str, Float32]:
    used = {node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.name in used}


def rounded(rows: Float32) -> tuple[npt.NDArray[np.int8], Float32]:
    """rows: (n, width). Returns whole numbers, (n, blocks, 32), and their scales, (n, blocks)."""
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % BLOCK)))
    blocks = rows.reshape(len(rows), -1, BLOCK)
    parts = [_rounded(blocks[at : at + _TOGETHER]) for at in range(0, len(blocks), _TOGETHER)]
    return np.concatenate([part for part, _ in parts]), np.concatenate([scales for _, scales in parts])


def ends_at_largest(weights: Float32, axis: int, limit: int) -> Float32:
    """Scales, `axis` kept with one entry, whose range from -limit to limit - 1 ends at the largest weight."""
    at = np.expand_dims(np.abs(weights).argmax(axis=axis), axis)
    # There is one negative number more: the largest weight takes it, whatever its sign.
    ends = np.take_along_axis(weights, at, axis=axis) / -limit
    ends[ends == 0] = 1
    return np.asarray(ends, np.float32)


def _rounded(blocks: Float32) -> tuple[npt.NDArray[np.int8], Float32]:
    ends = ends_at_largest(blocks, -1, _LIMIT)
    best = np.full(ends.shape, np.inf, np.float32)
    values, scales = np.zeros(blocks.shape, np.float32), np.ones(ends.shape, np.float32)
    for end in _ENDS:
        scale = ends * end
        tried = np.clip(np.rint(blocks / scale), -_LIMIT, _LIMIT - 1)
        loss = np.square(tried * scale - blocks).sum(axis=-1, keepdims=True)
        better = loss < best
        best = np.where(better, loss, best)
        values = np.where(better, tried, values)
        scales = np.where(better, scale, scales)
    return values.astype(np.int8), scales[..., 0]


def _put(tensor: onnx.TensorProto, values: npt.NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values.reshape(tuple(tensor.dims)), tensor.name))
