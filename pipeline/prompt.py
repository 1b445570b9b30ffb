"""The text the model reads: the paper's structure (arXiv 2410.00166, Figure 3) in our own words.

Fixed text comes first so that it can be computed once; then the person, then one line an electrode. The
answer that follows holds emotion, diagnosis and treatment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.calibration import LEVELS
from pipeline.montage import ELECTRODES
from pipeline.records import CompressedWindow

VERSION = 1

ROLE = (
    "You read emotion from EEG. Each line names an electrode and gives codes of its signal as deviations "
    "from this person's own rest. Infer the emotional state, then give a diagnosis and a treatment.\n"
)
ASK = "\nemotion:"

GENDERS = ("female", "male", "other")


@dataclass(frozen=True, slots=True)
class Person:
    """Demographics as supplied; None is written as unknown. age: years."""

    age: int | None = None
    gender: str | None = None

    def __post_init__(self) -> None:
        if self.age is not None and not 0 <= self.age <= 120:
            raise ValueError(f"age must be 0 to 120 years, got {self.age}")
        if self.gender is not None and self.gender not in GENDERS:
            raise ValueError(f"gender must be one of {', '.join(GENDERS)}, got {self.gender!r}")


def age_group(age: int | None) -> str:
    """Decades: exact years would single out the few people of a small corpus."""
    return "unknown" if age is None else f"{age // 10 * 10}s"


def everyone() -> Iterator[Person]:
    """One person of each kind that the prompt tells apart."""
    for age in (None, *range(0, 121, 10)):
        for gender in (None, *GENDERS):
            yield Person(age, gender)


def prefix(person: Person) -> str:
    """All that does not change from window to window."""
    return f"{ROLE}age {age_group(person.age)} gender {person.gender or 'unknown'}"


def lines(window: CompressedWindow) -> str:
    """One line an electrode: its name, then its codes."""
    return "".join(
        f"\n{name} {' '.join(map(str, codes))}"
        for name, codes in zip(window.channels, window.codes.tolist(), strict=True)
    )


def question(window: CompressedWindow, person: Person) -> str:
    """The whole prompt, up to the place where the emotion belongs."""
    return prefix(person) + lines(window) + ASK


def answer(emotion: str, diagnosis: str = "", treatment: str = "") -> str:
    """What follows `question`; parts that are not given are left out."""
    parts = [f" {emotion}"]
    if diagnosis:
        parts.append(f"\ndiagnosis: {diagnosis}")
    if treatment:
        parts.append(f"\ntreatment: {treatment}")
    return "".join(parts)


def vocabulary() -> list[str]:
    """What a domain tokenizer must hold as one token each: codes, electrodes and demographics as written."""
    codes = [f" {code}" for code in range(LEVELS)]
    electrodes = [f"\n{name}" for name in ELECTRODES]
    groups = [f" {age_group(age)}" for age in range(0, 121, 10)]
    return codes + electrodes + groups + [f" {gender}" for gender in (*GENDERS, "unknown")]
