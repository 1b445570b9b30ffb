"""Calibration, codes, prompt, smoothing and episodes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pipeline.calibration import LEVELS, MIDDLE, Calibration, quantise
from pipeline.episodes import EpisodeTracker
from pipeline.errors import MontageError
from pipeline.prompt import ASK, Person, answer, question
from pipeline.records import Calibrating, Chunk, CompressedWindow, Reading, Span, Unreadable
from pipeline.session import Session, abstention
from pipeline.settings import STAGES, PipelineSettings
from pipeline.smoothing import Smoother

NAMES = ("EEG Fp1", "EEG T3", "EEG C3", "EEG C4", "EEG O2", "ECG")
SETTINGS = PipelineSettings(
    montage=("Fp1", "T7", "C3", "C4", "O2"),
    window=2.0,
    hop=1.0,
    warmup=1.0,
    calibration=12.0,
    compression="w5-energy",
)
RATE = 250.0


def chunks(data: np.ndarray, size: int, first: int = 0, segment: int = 0) -> list[Chunk]:
    return [
        Chunk(data[:, i : i + size], first + i, (first + i) / RATE, 0, 0, NAMES, RATE, segment)
        for i in range(0, data.shape[1], size)
    ]


def noise(seconds: float, gain: float = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (gain * rng.standard_normal((len(NAMES), round(seconds * RATE))).cumsum(axis=1) / 3).astype(
        np.float32
    )


def test_nothing_is_read_before_the_calibration_ends() -> None:
    session = Session(SETTINGS, NAMES, RATE)
    steps = [step for chunk in chunks(noise(30), 60) for step in session.feed(chunk)]
    first_read = next(i for i, step in enumerate(steps) if isinstance(step, CompressedWindow))
    assert all(isinstance(step, Calibrating) for step in steps[:first_read])
    assert all(step.span.end_s <= 12 for step in steps[:first_read])
    assert all(step.span.end_s > 12 for step in steps[first_read:])
    assert session.calibrated
    window = steps[first_read]
    assert isinstance(window, CompressedWindow)
    assert window.channels == ("Fp1", "T7", "C3", "C4", "O2")
    assert window.codes.dtype == np.int16 and window.codes.shape == (5, 5)
    assert window.codes.min() >= 0 and window.codes.max() < LEVELS


def test_rest_is_the_middle_and_louder_is_above() -> None:
    session = Session(SETTINGS, NAMES, RATE)
    rest = [s for c in chunks(noise(40), 250) for s in session.feed(c) if isinstance(s, CompressedWindow)]
    louder = noise(20, 20, 1)
    after = [
        s
        for c in chunks(louder, 250, first=10_000, segment=1)
        for s in session.feed(c)
        if isinstance(s, CompressedWindow)
    ]
    assert abs(np.mean([w.codes.mean() for w in rest]) - MIDDLE) < 3
    assert np.mean([w.codes.mean() for w in after]) > MIDDLE + 5


def test_calibration_can_be_repeated() -> None:
    session = Session(SETTINGS, NAMES, RATE)
    steps = [s for c in chunks(noise(20), 250) for s in session.feed(c)]
    assert isinstance(steps[-1], CompressedWindow)
    session.calibrate()
    again = [s for c in chunks(noise(14), 250, first=5000) for s in session.feed(c)]
    kinds = [type(s) for s in again]
    assert kinds[0] is Calibrating and kinds[-1] is CompressedWindow
    assert kinds.count(Calibrating) >= 10


def test_too_few_good_channels_abstains_with_the_reason() -> None:
    session = Session(SETTINGS, NAMES, RATE)
    data = noise(30)
    data[:3, 20 * 250 :] = 0
    steps = [s for c in chunks(data, 250) for s in session.feed(c)]
    last = steps[-1]
    assert isinstance(last, Unreadable)
    assert last.reason == "2 good channels, 4 needed"
    assert last.quality.score == pytest.approx(0.4)
    assert [reason for reason in last.quality.reasons if reason] == ["flat"] * 3
    reading = abstention(last)
    assert reading.abstained and reading.reason == last.reason and reading.p == {}


def test_channels_that_cannot_serve_are_refused() -> None:
    with pytest.raises(MontageError, match="at least 4"):
        Session(SETTINGS, ("Fp1", "C3", "X", "Y"), RATE)


def test_calibration_waits_for_usable_rest() -> None:
    session = Session(SETTINGS, NAMES, RATE)
    data = noise(30)
    data[:, : 16 * 250] = 0
    steps = [s for c in chunks(data, 250) for s in session.feed(c)]
    read = [s for s in steps if isinstance(s, CompressedWindow)]
    assert read and read[0].span.start_s > 14


def test_a_channel_bad_throughout_rest_borrows_the_median() -> None:
    calibration = Calibration(0.25)
    good = np.array([True, True, False])
    for value in (1.0, 2.0, 3.0):
        calibration.add(np.array([[[value]], [[value + 2]], [[99.0]]]), good)
    assert calibration.finish()
    deviations = calibration.deviations(np.array([[[2.0]], [[4.0]], [[3.0]]]))
    assert np.allclose(deviations, 0)


def test_no_rest_no_calibration() -> None:
    calibration = Calibration(0.25)
    assert not calibration.finish()
    calibration.add(np.zeros((2, 1, 1)), np.array([False, False]))
    assert not calibration.finish()
    with pytest.raises(RuntimeError):
        calibration.deviations(np.zeros((2, 1, 1)))


def test_a_headset_that_nobody_wears_fills_no_memory() -> None:
    calibration = Calibration(0.25)
    nothing_good = np.zeros(32, dtype=bool)
    tracemalloc.start()
    try:
        for _ in range(2000):
            calibration.add(np.zeros((32, 5, 1)), nothing_good)
            assert not calibration.finish()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000  # one window takes 1,300


def test_codes_saturate() -> None:
    codes = quantise(np.array([-1e9, -4.0, -0.01, 0.0, 3.99, 1e9]))
    assert codes.tolist() == [0, 0, MIDDLE - 1, MIDDLE, LEVELS - 1, LEVELS - 1]


def test_prompt_has_the_papers_structure() -> None:
    session = Session(SETTINGS, NAMES, RATE)
    window = [s for c in chunks(noise(20), 250) for s in session.feed(c)][-1]
    assert isinstance(window, CompressedWindow)
    text = question(window, Person(age=37, gender="female"))
    role, demographics, *lines, ask = text.split("\n")
    assert "EEG" in role and "emotional state" in role
    assert demographics == "age 30s gender female"
    assert [line.split()[0] for line in lines] == list(window.channels)
    assert all(len(line.split()) == 6 for line in lines)
    assert "\n" + ask == ASK
    assert answer("calm", "none", "rest") == " calm\ndiagnosis: none\ntreatment: rest"
    assert "age unknown gender unknown" in question(window, Person())
    for wrong in ({"age": 200}, {"gender": "f"}):
        with pytest.raises(ValueError, match="must be"):
            Person(**wrong)


def test_the_fingerprint_follows_every_setting_and_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {SETTINGS.fingerprint(), PipelineSettings(montage=("Fp1",)).fingerprint()}
    monkeypatch.setitem(STAGES, "filter", STAGES["filter"] + 1)
    assert SETTINGS.fingerprint() not in seen
    assert len(seen) == 2


def reading(end_s: float, stress: float, segment: int = 0, label: str | None = "x") -> Reading:
    p = {"calm": 1 - stress, "stress": stress}
    span = Span(0, segment, end_s - 10, end_s, end_s - 10, end_s, 0.0, 0.0)
    return Reading(label and max(p, key=p.__getitem__), p, {}, span, 1.0, "", 0.0)


def test_smoothing_follows_a_change_and_forgets_over_a_gap() -> None:
    smoother = Smoother(10.0)
    told = [smoother.feed(reading(t, 0.1 if t < 20 else 0.9)).p_smooth["stress"] for t in range(0, 60, 2)]
    assert told[0] == pytest.approx(0.1)
    assert told[9] == pytest.approx(0.1) and 0.1 < told[11] < 0.6 and told[-1] > 0.85
    assert smoother.feed(reading(80, 0.2, segment=1)).p_smooth["stress"] == pytest.approx(0.2)


def test_one_window_cannot_outvote_the_rest() -> None:
    smoother = Smoother(10.0)
    for t in range(0, 40, 2):
        smoother.feed(reading(t, 0.1))
    assert smoother.feed(reading(40, 1.0)).p_smooth["stress"] < 0.5


def test_episodes_begin_update_end() -> None:
    smoother, tracker = Smoother(10.0), EpisodeTracker()
    told = []
    for t in range(0, 200, 2):
        told += tracker.feed(smoother.feed(reading(t, 0.05 if t < 100 else 0.95)))
    told += tracker.close()
    phases = [(e.phase, e.label) for e in told]
    assert phases[0] == ("begin", "calm") and phases[-1] == ("end", "stress")
    assert phases.count(("begin", "stress")) == 1 and phases.count(("end", "calm")) == 1
    assert ("update", "calm") in phases
    calm = [e for e in told if e.label == "calm"]
    assert len({e.id for e in calm}) == 1
    assert calm[-1].end == pytest.approx(104, abs=8)
    stress = next(e for e in told if e.label == "stress")
    assert 100 <= stress.start <= 120


def test_hovering_makes_no_episode_and_a_gap_ends_one() -> None:
    tracker = EpisodeTracker()
    smoother = Smoother(1e-9)
    assert not [
        e for t in range(0, 60, 2) for e in tracker.feed(smoother.feed(reading(t, 0.5 + 0.1 * (t % 4 - 1))))
    ]
    told = [e for t in range(60, 90, 2) for e in tracker.feed(smoother.feed(reading(t, 0.9)))]
    assert [e.phase for e in told] == ["begin"]
    assert [e.phase for e in tracker.feed(smoother.feed(reading(120, 0.9, segment=1)))] == ["end"]
