"""Language models behind one small interface, each in a process of its own.

`python -m tests.bench.engines ENGINE PATH` reads an operation a line (prefill, decode, extend) and prints the
seconds it took as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Protocol

import numpy as np

THREADS = 2
PREFIX, NEW = 512, 128  # tokens
_CAPACITY = PREFIX + NEW + 8


class Engine(Protocol):
    def reset(self) -> None:
        """Forget everything."""

    def feed(self, ids: list[int]) -> int:
        """Take tokens in behind what is there. Returns the most probable next one."""


class Ours:
    """path: a fused graph. spin: as `[model] spin` has it."""

    def __init__(self, path: Path, *, spin: bool = False) -> None:
        from pipeline.model import Model

        self._model = Model(path, THREADS, spin=spin)
        self._cache = self._model.cache(1, _CAPACITY)
        self.reset()

    def reset(self) -> None:
        self._past = 0

    def feed(self, ids: list[int]) -> int:
        logits = self._model.run(self._cache, [ids], self._past)
        self._past += len(ids)
        return int(logits[0, -1].argmax())


class OursSpinning(Ours):
    """Threads wait as those of llama.cpp, torch and onnxruntime-genai do."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, spin=True)


class Torch:
    """path: folder of weights. Float32."""

    def __init__(self, path: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(THREADS)
        torch.set_grad_enabled(False)
        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.reset()

    def reset(self) -> None:
        from transformers import DynamicCache

        self._cache = DynamicCache()

    def feed(self, ids: list[int]) -> int:
        out = self._model(
            self._torch.tensor([ids]), past_key_values=self._cache, use_cache=True, logits_to_keep=1
        )
        return int(out.logits[0, -1].argmax())


class Optimum:
    """path: folder of the plain export. Float32."""

    def __init__(self, path: Path) -> None:
        import onnxruntime
        import torch
        from optimum.onnxruntime import ORTModelForCausalLM

        torch.set_num_threads(THREADS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.log_severity_level = 3
        self._torch = torch
        self._model = ORTModelForCausalLM.from_pretrained(
            path, file_name="model.onnx", session_options=options, use_cache=True
        )
        self.reset()

    def reset(self) -> None:
        self._cache = None
        self._past = 0

    def feed(self, ids: list[int]) -> int:
        self._past += len(ids)
        out = self._model(
            input_ids=self._torch.tensor([ids]),
            attention_mask=self._torch.ones((1, self._past), dtype=self._torch.int64),
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = out.past_key_values
        return int(out.logits[0, -1].argmax())


class GenAi:
    """path: folder written by onnxruntime-genai's own builder."""

    def __init__(self, path: Path) -> None:
        import onnxruntime_genai as genai

        genai.disable_telemetry_events()
        self._genai = genai
        self._model = genai.Model(str(path))
        self.reset()

    def reset(self) -> None:
        params = self._genai.GeneratorParams(self._model)
        params.set_search_options(max_length=_CAPACITY, do_sample=False)
        self._generator = self._genai.Generator(self._model, params)
        self._own = -1

    def feed(self, ids: list[int]) -> int:
        # What it chose itself it holds already.
        if ids != [self._own]:
            self._generator.append_tokens(np.array(ids, dtype=np.int32))
        self._generator.generate_next_token()
        self._own = int(self._generator.get_next_tokens()[0])
        return self._own


ENGINES: dict[str, type[Ours] | type[Torch] | type[Optimum] | type[GenAi]] = {
    "ours": Ours,
    "ours-spinning": OursSpinning,
    "torch": Torch,
    "optimum": Optimum,
    "genai": GenAi,
}


def measure(engine: Engine, operation: str, ids: list[int]) -> float:
    """Seconds. ids: PREFIX + NEW tokens.

    prefill: PREFIX tokens into nothing. decode: NEW tokens one by one behind them. extend: NEW at once
    behind them.
    """
    engine.reset()
    if operation == "prefill":
        began = time.perf_counter()
        engine.feed(ids[:PREFIX])
        return time.perf_counter() - began
    token = engine.feed(ids[:PREFIX])
    began = time.perf_counter()
    if operation == "extend":
        engine.feed(ids[PREFIX:])
    else:
        for _ in range(NEW):
            token = engine.feed([token])
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engines")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("path", type=Path)
    parser.add_argument("--vocabulary", type=int, default=400, help="tokens are drawn from the first so many")
    options = parser.parse_args()
    ids = np.random.default_rng(1).integers(1, options.vocabulary, PREFIX + NEW).tolist()
    try:
        engine: Engine = ENGINES[options.engine](options.path)
        engine.feed(ids[:16])
    except ImportError as error:
        print(json.dumps({"missing": str(error)}), flush=True)
        return 0
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(engine, line.strip(), ids)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
