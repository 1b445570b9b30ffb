"""Weights in 4-bit blocks whose rounding is made up for: GPTQ (Frantar and others 2022, arXiv 2210.17323).

The weights of one input after the other are rounded, and those of the inputs still to come take up what was
lost, as far as inputs go together in text. ONNX Runtime 1.28 has a GPTQ too, which multiplies what was lost
by zeros, the empty half of a triangle, so that nothing takes it up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper
from tqdm import tqdm

from export.blocks import ends_at_largest
from export.save import save
from pipeline.model import Model
from pipeline.records import Float32

# SmolLM2-135M, divergence from float32: 24 of them 0.32 nats a token, 64 of them 0.28.
_TEXTS, _LENGTH = 64, 256
# What ends a text, and so begins one, in most vocabularies.
_FIRST = 0
# A share of the mean moment, added to each: inputs that are hardly ever there must not decide.
_DAMPING = 0.01
# Of whole numbers: from -8 to 7.
_LIMIT = 8


def own_texts(fused: Path, seed: int = 0) -> list[list[int]]:
    """What the model itself writes, token by token as likely as it finds them.

    No text has to be at hand, and none decides in whose words the model stays good (Williams and others 2024,
    arXiv 2410.17170).
    """
    model = Model(fused)
    rng = np.random.default_rng(seed)
    cache = model.cache(_TEXTS, _LENGTH)
    texts = [[_FIRST] for _ in range(_TEXTS)]
    for past in tqdm(range(_LENGTH - 1), desc="own texts", unit="token", disable=None):
        logits = model.run(cache, [text[-1:] for text in texts], past)[:, 0]
        # The largest after Gumbel noise is a draw from the softmax.
        drawn = (logits + rng.gumbel(size=logits.shape)).argmax(axis=-1)
        for text, token in zip(texts, drawn, strict=True):
            text.append(int(token))
    return texts


def moments(model: onnx.ModelProto, texts: Sequence[Sequence[int]]) -> dict[str, Float32]:
    """For the weights of each MatMul, how their inputs go together: the mean of x xᵀ over all tokens.

    model: fused, in float32. Returns (inputs, inputs) by the weights' name; weights of one input share it.
    """
    inputs = {node.input[1]: node.input[0] for node in model.graph.node if node.op_type == "MatMul"}
    asked = sorted(set(inputs.values()))
    told = onnx.ModelProto()
    told.CopyFrom(model)
    told.graph.output.extend(helper.make_tensor_value_info(x, TensorProto.FLOAT, None) for x in asked)
    with tempfile.TemporaryDirectory() as folder:
        save(told, Path(folder) / "told.onnx")
        session = ort.InferenceSession(str(Path(folder) / "told.onnx"), providers=["CPUExecutionProvider"])
    sums: dict[str, Float32] = {}
    for text in tqdm(texts, desc="calibration", unit="piece", disable=None):
        feeds = {
            given.name: np.zeros((1, given.shape[1], len(text), given.shape[3]), np.float32)
            for given in session.get_inputs()
            if given.name.startswith("past_key_values")
        }
        feeds |= {
            "input_ids": np.array([text], np.int64),
            "attention_mask": np.ones((1, len(text)), np.int64),
            "logits_to_keep": np.array([len(text)], np.int64),
        }
        for x, found in zip(asked, session.run(asked, feeds), strict=True):
            rows = found.reshape(-1, found.shape[-1])
            sums[x] = sums[x] + rows.T @ rows if x in sums else rows.T @ rows
    tokens = sum(map(len, texts))
    return {weight: (sums[x] / tokens).astype(np.float32) for weight, x in inputs.items()}


def compensated(weight: Float32, moment: Float32, block: int) -> tuple[npt.NDArray[np.int8], Float32]:
    """weight: (inputs, outputs). moment: (inputs, inputs). block: inputs that share a scale.

    Returns whole numbers from -8 to 7, (outputs, blocks, block), and scales, (outputs, blocks).
    """
    width, n = weight.shape
    left = weight.copy()
    upper = _upper(moment)
    blocks = -(-width // block)
    values = np.zeros((blocks * block, n), np.int8)
    scales = np.ones((blocks, n), np.float32)
    for at in range(0, width, block):
        end = min(at + block, width)
        (scale,) = ends_at_largest(left[at:end], 0, _LIMIT)
        lost = np.empty((end - at, n), np.float32)
        for i in range(at, end):
            whole = np.clip(np.rint(left[i] / scale), -_LIMIT, _LIMIT - 1)
            lost[i - at] = (left[i] - whole * scale) / upper[i, i]
            left[i + 1 : end] -= np.outer(upper[i, i + 1 : end], lost[i - at])
            values[i] = whole
        left[end:] -= upper[at:end, end:].T @ lost
        scales[at // block] = scale
    return np.ascontiguousarray(values.T).reshape(n, blocks, block), np.ascontiguousarray(scales.T)


def _upper(moment: Float32) -> Float32:
    """The upper Cholesky factor of the inverse: its rows say which inputs take up what was lost."""
    damped = moment.astype(np.float64)
    damped[np.diag_indices_from(damped)] += _DAMPING * np.diag(damped).mean() + np.finfo(np.float32).tiny
    inverse = np.linalg.inv(damped)
    factor: Float32 = np.linalg.cholesky((inverse + inverse.T) / 2).T.astype(np.float32)
    return factor
