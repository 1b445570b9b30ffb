"""Weights to 8-bit blocks."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
from onnxruntime.quantization.matmul_nbits_quantizer import (
    DefaultWeightOnlyQuantConfig,
    MatMulNBitsQuantizer,
)

NAME = "int8 blocks of 32, symmetric; float32 embedding"
_BITS = 8
_BLOCK = 32
# int8 activations, quantised row by row: unlike dynamic int8 MatMuls, whose scale is taken over the whole
# batch, one stream's result does not depend on which other streams were read with it.
_ACCURACY_LEVEL = 4


def quantize(source: Path, target: Path) -> None:
    """source, target: graphs. Every MatMul's constant weight becomes a MatMulNBits."""
    config = DefaultWeightOnlyQuantConfig(
        block_size=_BLOCK, is_symmetric=True, accuracy_level=_ACCURACY_LEVEL, bits=_BITS
    )
    # It tells of every node it leaves alone.
    logging.getLogger(MatMulNBitsQuantizer.__module__).setLevel(logging.WARNING)
    quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=config)
    quantizer.process()
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(quantizer.model.model, target)
