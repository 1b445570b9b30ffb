"""A fused language model on ONNX Runtime: one session, and caches of keys and values that stay in place.

The graph's inputs and outputs are told in `export/fuse.py`. No torch, nothing is sent anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before the library is loaded. The pinned versions send nothing; this says so to any other.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort

from pipeline.errors import BundleError
from pipeline.records import Float32

# The graph's own metadata.
FORMAT, VERSION = "eeg-copilot.fused", "1"
LONGEST = "eeg-copilot.longest"
QUANTISATION = "eeg-copilot.quantisation"
# "1" where activations are scaled over all that is in a run, so that texts must not share one.
SHARED_SCALE = "eeg-copilot.shared-scale"

_PAST = "past_key_values"


class Model:
    """A session on a fused graph. Calls are not to overlap.

    longest: positions the model can tell apart. shared_scale: a result depends on what else is in its run.
    """

    def __init__(self, path: Path, threads: int = 2, *, spin: bool = False) -> None:
        """spin: waiting threads burn their core within a run. That is faster where the cores are ours alone,
        for small operators above all, and slower and unkind to others where they are not.

        Raises BundleError, one line, where the file is no fused graph.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        # Windows come every second or two; in between nobody spins.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # Prompts come in many lengths, and a plan of memory would be kept for each.
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BundleError(f"{path}: the model does not load: {str(error).splitlines()[0]}") from error
        told = self._session.get_modelmeta().custom_metadata_map
        if told.get(FORMAT) != VERSION:
            raise BundleError(f"{path}: not a graph of this release: fuse it with `python -m export fuse`")
        self.longest = int(told[LONGEST])
        self.quantisation = told.get(QUANTISATION, "float32")
        self.shared_scale = told.get(SHARED_SCALE) == "1"
        self._past = {i.name: i.shape for i in self._session.get_inputs() if i.name.startswith(_PAST)}
        _, self.kv_heads, _, self.head_dim = next(iter(self._past.values()))

    def cache(self, rows: int, capacity: int) -> Cache:
        return Cache(self._session, list(self._past), (rows, self.kv_heads, capacity, self.head_dim))

    def run(self, cache: Cache, texts: Sequence[Sequence[int]], past: int = 0, keep: int = 1) -> Float32:
        """Writes a text into each of the cache's first rows, behind `past` positions that stay.

        texts: token ids, at least `keep` a row. Where there is a past, a single row, or a single token for
        each row: the kernel takes no other. Returns logits for the last `keep` tokens of each text: float32
        (n_texts, keep, vocabulary).
        """
        length = max(len(text) for text in texts)
        if past and len(texts) > 1 and length > 1:
            raise ValueError("texts behind a past are run one by one, or a token of each")
        if past + length > cache.capacity:
            raise ValueError(f"{past + length} positions do not fit a cache of {cache.capacity}")
        ids = np.zeros((len(texts), length), dtype=np.int64)
        mask = np.zeros((len(texts), past + length), dtype=np.int64)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text
            mask[row, : past + len(text)] = 1
        binding = cache.binding(len(texts))
        # Bound anew: it would keep the shape of its last run.
        binding.bind_output("logits")
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("attention_mask", mask)
        binding.bind_cpu_input("logits_to_keep", np.array([keep], dtype=np.int64))
        self._session.run_with_iobinding(binding)
        logits: Float32 = binding.get_outputs()[0].numpy()
        return logits


class Cache:
    """Keys and values of `rows` texts side by side; runs write them in place, so memory never grows."""

    def __init__(self, session: Any, names: Sequence[str], shape: tuple[int, int, int, int]) -> None:
        """shape: (rows, kv_heads, capacity, head_dim)."""
        self.rows, _, self.capacity, _ = shape
        self._session = session
        self._arrays = {name: np.zeros(shape, dtype=np.float32) for name in names}
        self._bindings: dict[int, Any] = {}

    def binding(self, rows: int) -> Any:
        """The first rows as the graph's past and, in the same memory, its present."""
        if rows not in self._bindings:
            binding = self._session.io_binding()
            binding.bind_output("logits")
            for name, array in self._arrays.items():
                value = ort.OrtValue.ortvalue_from_numpy(array[:rows])
                binding.bind_ortvalue_input(name, value)
                binding.bind_ortvalue_output(name.replace(_PAST, "present"), value)
            self._bindings[rows] = binding
        return self._bindings[rows]

    def saved(self, row: int, length: int) -> list[Float32]:
        """A copy of the row's first positions."""
        return [array[row, :, :length].copy() for array in self._arrays.values()]

    def restore(self, row: int, saved: Sequence[Float32]) -> None:
        for array, part in zip(self._arrays.values(), saved, strict=True):
            array[row, :, : part.shape[1]] = part
