"""A tiny model is tuned on made-up windows, to be killed or shared: OUT BASE STEPS DROPOUT."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
from accelerate import Accelerator

from pipeline.prompt import Person
from pipeline.records import ChannelQuality, CompressedWindow, Span
from training import recipe
from training.bases import open_base
from training.corpus import Example
from training.finetune import finetune
from training.lm_settings import Lora

CHANNELS = ("Fz", "Cz", "Pz", "Oz")
HOW = Lora(r=4, dropout=0.1, learning_rate=5e-3, words=True, steps=2, epochs=2.0, batch=4, rows=2, held_out=1)


def windows(n: int, seed: int = 0) -> list[Example]:
    """Of three people; the codes of stress are higher."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        label = ("calm", "stress")[i % 2]
        codes = np.clip(rng.normal(12 + 8 * (i % 2), 2, (len(CHANNELS), 5)), 0, 31).astype(np.int16)
        quality = ChannelQuality(np.ones(len(CHANNELS), bool), ("",) * len(CHANNELS), 1.0)
        span = Span(i, 0, 2.0 * i, 2.0 * i + 10, 0.0, 0.0, 0.0, 0.0)
        window = CompressedWindow(codes, CHANNELS, "w5-energy/1", span, quality)
        made.append(Example(f"person-{i // 2 % 3}", Person(20 + i % 3, "female"), label, window))
    return made


def plan() -> recipe.Recipe:
    return msgspec.structs.replace(recipe.load("eegmat"), lora=HOW)


if __name__ == "__main__":
    out, base, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    how = msgspec.structs.replace(HOW, epochs=float(steps) / 6, dropout=float(sys.argv[4]))
    told = finetune(open_base(base), plan(), how, windows(36), out, Accelerator(cpu=True), every=3)
    print(f"tuned {told[-1].updates}", flush=True)
