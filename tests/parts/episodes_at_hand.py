"""Courses of episodes for tests: from real recordings, and made up reading by reading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from node import bundle, reader

from daemon.labelling import Labelling
from pipeline.drafts.context import PatientContext, read_context
from pipeline.drafts.course import Course
from pipeline.drafts.facts import Maker
from pipeline.drafts.gathering import Gatherer
from pipeline.episodes import EpisodeTracker
from pipeline.prompt import Person
from pipeline.recordings import open_recording
from pipeline.records import ChannelQuality, CompressedWindow, Reading, Span
from pipeline.smoothing import Smoother

HOP = 2.0
MONTAGE = bundle().manifest.pipeline.montage
FACED = ("amusement", "anger", "disgust", "fear", "inspiration", "joy", "neutral", "sadness", "tenderness")


def context(**more: object) -> PatientContext:
    return read_context(json.dumps({"subject": "pseudo-7f3a"} | more).encode())


FULL = {
    "age": 41,
    "gender": "female",
    "complaint": "tense for 3 weeks",
    "history": ["appendectomy in 2011", "migraine"],
    "medication": [{"name": "Ibuprofen", "dose": "400 mg as needed", "since": "2025-03-01"}],
    "allergies": ["penicillin"],
    "examination": ["blood pressure 128/82 mmHg"],
    "laboratory": [{"name": "TSH", "value": "2.1", "unit": "mU/l", "date": "2025-11-02"}],
    "expenses": [{"item": "EEG", "amount": 85.5, "currency": "EUR"}],
}


def maker(labels: Sequence[str] = ("calm", "stress"), *, utc: bool = True) -> Maker:
    return Maker(
        model="calm-stress-1",
        sha256="ab" * 32,
        labels=tuple(labels),
        label_schema="calm-stress" if len(labels) == 2 else "faced-9",
        program="eeg-emotion-copilot 0.1.0",
        headset="lsl bed-1",
        calibration_s=60.0,
        compression="w5-energy/1",
        utc=utc,
    )


def real(files: Sequence[Path], person: Person) -> list[Course]:
    """Every episode of a sitting."""
    labelling = Labelling(bundle(), reader(), person)
    tracker, gatherer = EpisodeTracker(), Gatherer(HOP)
    found: list[Course] = []
    for labelled in labelling.label([open_recording(file) for file in files]):
        if labelled.window is not None:
            gatherer.seen(labelled.window)
        found += gatherer.heard(labelled.reading, tracker.feed(labelled.reading))
    return found + gatherer.told(tracker.close())


def simulated(seed: int, labels: Sequence[str], seconds: float = 240.0) -> list[Course]:
    """Episodes of a person drawn by chance: changing states, gaps, abstentions, bad channels."""
    gatherer, tracker, found = Gatherer(HOP), EpisodeTracker(), []
    for window, reading in readings(seed, labels, seconds):
        if window is not None:
            gatherer.seen(window)
        if reading is not None:
            found += gatherer.heard(reading, tracker.feed(reading))
    return found + gatherer.told(tracker.close())


def readings(
    seed: int, labels: Sequence[str], seconds: float
) -> Iterator[tuple[CompressedWindow | None, Reading | None]]:
    """Windows with their readings; None for a window that was not read, or a reading without a window."""
    random = np.random.default_rng(seed)
    smoother = Smoother()
    begun = 1.77e9 + float(random.uniform(0, 1e7))
    state, segment, index = 0, 0, 0
    for n in range(int(seconds / HOP)):
        if random.random() < 0.04:
            state = int(random.integers(len(labels)))
        if random.random() < 0.01:
            segment, index = segment + 1, 0
        start = n * HOP
        span = Span(index, segment, start, start + 10.0, begun + start, begun + start + 10.0, 4e-4, 0.0)
        index += 1
        good = random.random(len(MONTAGE)) > 0.1
        quality = ChannelQuality(good, tuple("" if ok else "flat" for ok in good), float(good.mean()))
        codes = np.clip(random.normal(16 + 3 * state, 5, (int(good.sum()), 5)), 0, 31).astype(np.int16)
        names = tuple(name for name, ok in zip(MONTAGE, good, strict=True) if ok)
        window = CompressedWindow(codes, names, "w5-energy/1", span, quality)
        if random.random() < 0.03:
            yield window, None
            continue
        weights = random.gamma(0.4, 1.0, len(labels)) + 1e-3
        weights[state] += 6.0
        p = dict(zip(labels, (weights / weights.sum()).tolist(), strict=True))
        best = max(p, key=p.__getitem__)
        label = best if p[best] >= 0.6 and random.random() > 0.05 else None
        reading = smoother.feed(Reading(label, p, {}, span, quality.score, "" if label else "unsure", 0.01))
        yield window, reading
