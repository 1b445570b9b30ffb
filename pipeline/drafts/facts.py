"""The facts a draft may state, each with an identity, a value, a unit and where it comes from.

A fact is rounded once, here: `text` is how it may be written, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from pipeline.calibration import RANGE
from pipeline.drafts.context import PatientContext
from pipeline.drafts.course import Course
from pipeline.drafts.regions import regional

Origin = Literal["measured", "supplied", "guideline", "made"]
Value = str | int | float

# Spreads. Half the usual difference between two windows of rest is nothing to write about.
NOTABLE = 0.5


class Fact(Struct, frozen=True, kw_only=True):
    """value: rounded as in `text`. unit: empty for words and times; times are UTC, ISO 8601.

    origin: `measured` by this program, `supplied` with the patient, quoted from a `guideline`, or `made`
    here, as a version number is.
    """

    id: str
    name: str
    value: Value
    unit: str = ""
    origin: Origin
    text: str


@dataclass(frozen=True, slots=True)
class Maker:
    """What measured.

    labels: all that the model knows. sha256: of its bundle. headset: kind and name of the source.
    calibration_s: length of the rest, seconds. utc: False where times are seconds since a recording's first
    sample.
    """

    model: str
    sha256: str
    labels: tuple[str, ...]
    label_schema: str
    program: str
    headset: str
    calibration_s: float
    compression: str
    utc: bool = True


class Facts:
    """Facts by identity, in the order in which they were stated."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._facts = {fact.id: fact for fact in facts}

    def __getitem__(self, fact_id: str) -> Fact:
        return self._facts[fact_id]

    def __contains__(self, fact_id: object) -> bool:
        return fact_id in self._facts

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts.values())

    def __len__(self) -> int:
        return len(self._facts)

    def under(self, start: str) -> list[Fact]:
        """Those whose identity begins so."""
        return [fact for fact in self if fact.id.startswith(start)]

    def get(self, fact_id: str) -> Fact | None:
        return self._facts.get(fact_id)

    def add(self, fact: Fact) -> Fact:
        self._facts[fact.id] = fact
        return fact


def moment(seconds: float) -> str:
    """UTC to the millisecond, not rounded up: `2026-01-31T12:00:00.123Z`."""
    told = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return told.replace("+00:00", "Z")


def gather(course: Course, maker: Maker, context: PatientContext) -> Facts:
    """Everything that a draft about this course may say."""
    facts = Facts()
    for fact in (*_episode(course, maker), *_shares(course, maker), *_stretches(course, maker)):
        facts.add(fact)
    for fact in (*_bands(course), *_signal(course), *_maker(maker), *_supplied(context)):
        facts.add(fact)
    return facts


def number(
    fact_id: str, name: str, value: float, unit: str, digits: int = 0, origin: Origin = "measured"
) -> Fact:
    """A quantity; whole numbers have no decimals."""
    rounded: int | float = round(value, digits) if digits else round(value)
    return Fact(
        id=fact_id,
        name=name,
        value=rounded,
        unit=unit,
        origin=origin,
        text=f"{rounded:.{digits}f} {unit}".strip(),
    )


def words(fact_id: str, name: str, value: str, origin: Origin = "measured") -> Fact:
    return Fact(id=fact_id, name=name, value=value, origin=origin, text=value)


def when(fact_id: str, name: str, seconds: float, maker: Maker) -> Fact:
    if maker.utc:
        return words(fact_id, name, moment(seconds))
    return number(fact_id, f"{name}, since the recording's first sample", seconds, "s", 1)


def _episode(course: Course, maker: Maker) -> list[Fact]:
    episode = course.episode
    return [
        words("episode.id", "episode", episode.id),
        words("episode.label", "state that the model named", episode.label),
        when("episode.start", "start of the episode", episode.start, maker),
        when("episode.end", "end of the episode", episode.end, maker),
        number("episode.duration", "length of the episode", episode.end - episode.start, "s", 1),
        number("episode.readings", "readings it rests on", episode.readings, "readings"),
        number("episode.p_mean", "mean probability of its label", 100 * episode.p_mean, "%", 1),
    ]


def _shares(course: Course, maker: Maker) -> list[Fact]:
    unread = course.abstained_s + course.unread_s
    total = sum(course.seconds.values()) + unread
    facts = []
    for label in maker.labels:
        seconds = course.seconds.get(label, 0.0)
        facts.append(number(f"time.{label}", f"time read as {label}", seconds, "s", 1))
        if total:
            facts.append(
                number(f"share.{label}", f"share of time read as {label}", 100 * seconds / total, "%", 1)
            )
    facts.append(number("time.unread", "time without a label", unread, "s", 1))
    if total:
        facts.append(number("share.unread", "share of time without a label", 100 * unread / total, "%", 1))
    return facts


def _stretches(course: Course, maker: Maker) -> list[Fact]:
    facts = []
    for n, stretch in enumerate(course.stretches, 1):
        facts += [
            words(f"stretch.{n}.label", f"label of stretch {n}", stretch.label or "no label"),
            when(f"stretch.{n}.start", f"start of stretch {n}", stretch.start, maker),
            when(f"stretch.{n}.end", f"end of stretch {n}", stretch.end, maker),
        ]
    if course.more_stretches:
        facts.append(number("stretch.more", "stretches not listed", course.more_stretches, "stretches"))
    return facts


def _bands(course: Course) -> list[Fact]:
    facts = []
    for (region, band), spreads in regional(course).items():
        size = round(abs(spreads), 1)
        side = "above" if spreads > 0 else "below"
        text = f"{size:.1f} spreads {side} rest" if size else "0.0 spreads from rest"
        facts.append(
            Fact(
                id=f"band.{region}.{band}",
                name=f"{region} {band} against the person's own rest",
                value=size if spreads > 0 or not size else -size,
                unit="spreads",
                origin="measured",
                text=text,
            )
        )
    if facts:
        facts.append(
            number("band.notable", "least deviation that is mentioned", NOTABLE, "spreads", 1, "made")
        )
    if any(any(limits) for limits in course.saturated.values()):
        facts.append(number("band.limit", "end of the scale of deviations", RANGE, "spreads", 1, "made"))
    return facts


def _signal(course: Course) -> list[Fact]:
    good = sorted(course.good)
    facts = [
        number("signal.quality", "mean share of good channels", 100 * course.quality, "%"),
        number("signal.windows", "windows read", course.windows, "windows"),
        number("signal.channels", "channels that were good at least once", len(good), "channels"),
        number("signal.clock", "largest uncertainty of a time", 1e3 * course.clock_s, "ms", 1),
    ]
    if good:
        facts.append(words("signal.electrodes", "electrodes read", ", ".join(good)))
    return facts


def _maker(maker: Maker) -> list[Fact]:
    return [
        words("model.id", "model", maker.model, "made"),
        words("model.sha256", "model's hash", maker.sha256, "made"),
        words("model.schema", "label schema", maker.label_schema, "made"),
        words("model.labels", "states the model knows", ", ".join(maker.labels), "made"),
        words("program.version", "program", maker.program, "made"),
        words("headset", "headset", maker.headset, "supplied"),
        words("compression", "compression", maker.compression, "made"),
        number("calibration", "rest that everything is compared with", maker.calibration_s, "s"),
    ]


def _supplied(context: PatientContext) -> list[Fact]:
    facts = [words("context.subject", "subject", context.subject, "supplied")]
    if context.age is not None:
        facts.append(number("context.age", "age", context.age, "years", origin="supplied"))
    if context.gender is not None:
        facts.append(words("context.gender", "gender", context.gender, "supplied"))
    if context.complaint:
        facts.append(words("context.complaint", "complaint", context.complaint, "supplied"))
    for kind in ("history", "allergies", "examination"):
        lines: tuple[str, ...] = getattr(context, kind)
        facts += [words(f"context.{kind}.{n}", kind, line, "supplied") for n, line in enumerate(lines, 1)]
    for n, drug in enumerate(context.medication, 1):
        since = f"since {drug.since}" if drug.since else ""
        told = ", ".join(part for part in (drug.name, drug.dose, since) if part)
        facts.append(words(f"context.medication.{n}", "medication", told, "supplied"))
    for n, result in enumerate(context.laboratory, 1):
        told = f"{result.name}: {result.value} {result.unit}".strip() + (
            f" ({result.date})" if result.date else ""
        )
        facts.append(words(f"context.laboratory.{n}", "laboratory result", told, "supplied"))
    for n, cost in enumerate(context.expenses, 1):
        told = f"{cost.item}: {cost.amount:.2f} {cost.currency}" + (f" ({cost.date})" if cost.date else "")
        facts.append(words(f"context.expenses.{n}", "expense", told, "supplied"))
    return facts
