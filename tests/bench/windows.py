"""From a window's codes to its label: the reader on warm prefixes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from pipeline import prompt
from pipeline.bundle import Bundle
from pipeline.calibration import LEVELS
from pipeline.prompt import Person
from pipeline.reader import Reader
from pipeline.records import ChannelQuality, CompressedWindow, Span
from pipeline.wavelet import METHODS, versioned
from tests.bench.engines import THREADS

_PERSON = Person(age=41, gender="female")


@dataclass(frozen=True, slots=True)
class WindowCost:
    """milliseconds: a window each, behind a prefix that is computed. first_ms: prefix and all.

    tokens: of one window behind the prefix.
    """

    milliseconds: list[float]
    first_ms: float
    tokens: int


def measure(bundle: Bundle, count: int) -> WindowCost:
    """count: windows, each with other codes."""
    reader = Reader(bundle, THREADS)
    rng = np.random.default_rng(1)
    times = []
    windows = [random_window(bundle, rng) for _ in range(count + 2)]
    for window in windows:
        began = time.perf_counter()
        reader.read([(window, _PERSON)])
        times.append((time.perf_counter() - began) * 1e3)
    # The first one computes the prefix, the second one still meets memory for the first time.
    whole = reader.words.ids(prompt.question(windows[0], _PERSON))
    return WindowCost(times[2:], times[0], len(whole) - len(reader.words.ids(prompt.prefix(_PERSON))))


def random_window(bundle: Bundle, rng: np.random.Generator) -> CompressedWindow:
    """Of the bundle's whole montage, with codes that mean nothing."""
    settings = bundle.manifest.pipeline
    method = METHODS[settings.compression]
    n = len(settings.montage)
    return CompressedWindow(
        codes=rng.integers(0, LEVELS, (n, method.n_codes)).astype(np.int16),
        channels=settings.montage,
        method=versioned(method),
        span=Span(0, 0, 0.0, settings.window, 0.0, settings.window, 0.0, 0.0),
        quality=ChannelQuality(np.ones(n, dtype=np.bool_), ("",) * n, 1.0),
    )
