"""Texts to vectors of meaning: all-MiniLM-L6-v2 on ONNX Runtime, as `export embedder` wrote it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

# Before the library is loaded. The pinned versions send nothing; this says so to any other.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from pipeline.bundle import file_sha256
from pipeline.errors import GuidanceError
from pipeline.records import Float32

MODEL, TOKENIZER, MANIFEST = "model.onnx", "tokenizer.json", "embedder.toml"
DIMENSIONS = 384
# What the model was trained with; longer texts are cut.
_TOKENS = 256
# Texts of about the same length share a run, so that little is padding.
_BATCH = 16


class Embedder:
    """One session; its calls may come from any thread. sha256: of the graph, which tells vectors apart."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        """Raises GuidanceError, one line, where the folder holds no whole embedder."""
        try:
            manifest = tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files = dict(manifest["files"])
            for name in (MODEL, TOKENIZER):
                if file_sha256(folder / name) != files[name]:
                    raise GuidanceError(f"{folder / name}: was changed or damaged: export it again")
        except OSError as error:
            raise GuidanceError(
                f"no embedder at {folder} ({error.strerror}): make it with make embedder"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
            raise GuidanceError(f"{folder / MANIFEST}: is damaged: export it again") from error
        self.sha256 = str(files[MODEL])
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.enable_truncation(_TOKENS)
        self._tokenizer.enable_padding()

    def embed(self, texts: Sequence[str]) -> Float32:
        """(n_texts, DIMENSIONS), each of length 1: mean over tokens, as the model was trained."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for chosen in _batches(by_length):
            coded = self._tokenizer.encode_batch([_encodable(texts[i]) for i in chosen])
            mask = np.array([one.attention_mask for one in coded], np.int64)
            feeds = {
                "input_ids": np.array([one.ids for one in coded], np.int64),
                "attention_mask": mask,
                "token_type_ids": np.zeros_like(mask),
            }
            (hidden,) = self._session.run(["last_hidden_state"], feeds)
            mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
            vectors[chosen] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors


def _batches(order: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(order), _BATCH):
        yield order[begin : begin + _BATCH]


def _encodable(text: str) -> str:
    """Halves of surrogate pairs, which no UTF-8 has, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
