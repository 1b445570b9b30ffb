"""From the course of an episode to a draft: the one place where its parts meet."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline import prompt
from pipeline.drafts.context import PatientContext
from pipeline.drafts.course import Course
from pipeline.drafts.facts import Facts, Maker, gather, number, words
from pipeline.drafts.record import Curve, Draft, EpisodeRef, Provenance, Source
from pipeline.drafts.sections import Sections
from pipeline.drafts.sources import Guide
from pipeline.drafts.writing import Pen, Writer
from pipeline.prompt import Person


@dataclass(frozen=True, slots=True)
class Order:
    """What a draft is to be made of. trigger: why now. made: UTC seconds. stream: where it was measured."""

    course: Course
    context: PatientContext
    maker: Maker
    trigger: str
    made: float
    stream: str = ""


class Drafter:
    """guide: where advice comes from. writer: the model's part in the wording."""

    def __init__(self, guide: Guide, writer: Writer) -> None:
        self._guide = guide
        self._writer = writer

    def draft(self, order: Order, draft_id: str = "", version: int = 1, previous: str = "") -> Draft:
        """draft_id: of the versions before, empty for a new one. previous: their last sha256."""
        course, maker = order.course, order.maker
        draft_id = draft_id or uuid.uuid4().hex
        created = iso(order.made)
        facts = gather(course, maker, order.context)
        facts.add(words("draft.id", "draft", draft_id, "made"))
        facts.add(number("draft.version", "version of the draft", version, "", origin="made"))
        facts.add(words("draft.created", "draft made at", created, "made"))
        built = Sections(facts, self._guide, Pen(self._writer, lead(course, order.context)))
        episode = course.episode
        return Draft(
            id=draft_id,
            version=version,
            status="preliminary",
            subject=order.context.subject,
            created=created,
            episode=EpisodeRef(
                id=episode.id,
                label=episode.label,
                start=iso(episode.start) if maker.utc else "",
                end=iso(episode.end) if maker.utc else "",
            ),
            sections=built.sections,
            facts=tuple(built.facts),
            sources=tuple(Source(id=e.id, title=e.title, source=e.source) for e in built.entries.values()),
            notes=tuple(built.notes + _remarks(course, maker, facts)),
            provenance=Provenance(
                program=maker.program,
                model=maker.model,
                model_sha256=maker.sha256,
                writer=self._writer.name,
                trigger=order.trigger,
                stream=order.stream,
            ),
            curve=_curve(course),
            previous=previous,
        )


def lead(course: Course, context: PatientContext) -> str:
    """The bundle's own prompt with the episode's mean codes, up to the place where the diagnosis belongs."""
    lines = "".join(f"\n{name} {' '.join(map(str, codes))}" for name, codes in sorted(course.codes.items()))
    asked = prompt.prefix(Person(context.age, context.gender)) + lines + prompt.ASK
    return f"{asked} {course.episode.label}\ndiagnosis:"


def iso(seconds: float) -> str:
    """UTC to the microsecond, as in every message."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _remarks(course: Course, maker: Maker, facts: Facts) -> list[str]:
    notes = []
    if course.episode.phase != "end":
        notes.append("the episode was still running when this draft was made")
    if not maker.utc:
        notes.append("the recording does not tell its time in UTC: times count from its first sample")
    if not course.deviations:
        notes.append("deviations by band are left out: the compression keeps no bands")
    if (more := facts.get("stretch.more")) is not None:
        notes.append(f"{more.text} are in the shares but not listed")
    return notes


def _curve(course: Course) -> Curve:
    zero = course.episode.start
    return Curve(
        seconds=round(course.episode.end - zero, 3),
        stretches=tuple(
            (s.label or "", round(s.start - zero, 3), round(s.end - zero, 3)) for s in course.stretches
        ),
        points=tuple((round(at - zero, 3), round(p, 4)) for at, p in course.points),
    )
