"""The text behind the question: true to the guidance base, and read back as it was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import prompt
from pipeline.drafts.check import NO_DISEASE
from pipeline.guidance import Guidance
from pipeline.guidance.entries import STATES
from pipeline.records import ChannelQuality, CompressedWindow, Span
from training import recipe
from training.answers import answer_text, diagnosis_of, emotion_of, entries_for
from training.corpora.eegmat import sittings
from training.corpora.prompts import Line, write_prompts
from training.corpora.settings import Eegmat
from training.corpus import Example, examples

LABELS = sorted(STATES)


def window(codes: np.ndarray, method: str = "w5-energy/1") -> CompressedWindow:
    channels = ("Fz", "Pz", "O1", "O2")
    quality = ChannelQuality(np.ones(4, bool), ("",) * 4, 1.0)
    span = Span(0, 0, 0.0, 10.0, 0.0, 10.0, 0.0, 0.0)
    return CompressedWindow(codes.astype(np.int16), channels, method, span, quality)


@pytest.mark.parametrize("label", LABELS)
def test_treatment_is_a_quotation_with_its_entry(label: str) -> None:
    with Guidance.shipped() as guidance:
        for variant in range(12):
            text = answer_text(label, variant=variant)
            quoted, _, entry = text.rpartition("\ntreatment: ")[2].removesuffix("]").rpartition(" [")
            assert quoted == " ".join(guidance.entry(entry).recommendation.split())
            assert label in guidance.entry(entry).states
            assert NO_DISEASE in text
    assert {e.kind for e in entries_for(label)} in ({"recommendation"}, {"limitation"})


def test_a_label_that_guidance_does_not_know_gets_no_treatment() -> None:
    text = answer_text("left hand")
    assert text.startswith(" left hand\ndiagnosis: ") and "treatment" not in text


def test_the_diagnosis_names_what_was_measured_and_no_more() -> None:
    codes = np.full((4, 5), 16)
    assert "Band energies stay near the person's own rest." in diagnosis_of("calm", window(codes))
    codes[2:, 2] = 26  # alpha at O1 and O2
    codes[0, 3] = 4  # beta at Fz
    told = diagnosis_of("calm", window(codes))
    assert "rest: frontal beta below rest, occipital alpha above rest." in told
    coefficients = diagnosis_of("calm", window(np.full((4, 50), 31), "w50-approx/1"))
    assert coefficients == diagnosis_of("calm")  # its numbers are no bands


@given(st.sampled_from(LABELS), st.integers(0, 50), st.sampled_from(["", " ", "\n"]))
def test_an_answer_is_read_back(label: str, variant: int, before: str) -> None:
    text = before + answer_text(label, variant=variant)
    assert emotion_of(text, LABELS) == label
    assert emotion_of(f"some question{prompt.ASK}{text}", LABELS) == label
    assert emotion_of(text.upper(), LABELS) == label


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" joyful\n", None),
        (" Joy.", "joy"),
        ("joy", "joy"),
        ("", None),
        (" I think it is joy", None),
        (" joy-less", None),
        ("emotion: joy\n", "joy"),
        (" calm-ish", None),
    ],
)
def test_what_is_no_label_is_none(text: str, found: str | None) -> None:
    assert emotion_of(text, ["joy", "calm"]) == found


def test_a_label_may_be_the_beginning_of_another() -> None:
    assert emotion_of(" calm down\n", ["calm", "calm down"]) == "calm down"


def test_prompts_as_text(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    plan = recipe.load("eegmat")
    sitting = sittings(Eegmat(), shared_data("eegmat"))[0]
    found: list[Example] = list(examples(sitting, plan.pipeline))[::10]
    path = tmp_path / "prompts.jsonl"
    assert write_prompts(found, path) == len(found)
    lines = [msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()]
    for line, example in zip(lines, found, strict=True):
        assert line.question == prompt.question(example.window, example.person)
        assert emotion_of(line.question + line.answer, plan.labels) == line.label == example.label
        assert (line.subject, line.trial) == (example.subject, example.trial)
    # The advice changes from window to window, so that a model does not learn one sentence by heart.
    assert len({line.answer.rpartition("[")[2] for line in lines}) > 3
