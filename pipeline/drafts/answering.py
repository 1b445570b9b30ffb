"""Answers about the present state, past episodes and guidance: from facts, quoted, or not at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.drafts.check import faults
from pipeline.drafts.course import Course
from pipeline.drafts.facts import Fact, Facts, moment, number, words
from pipeline.drafts.questions import Question, understand
from pipeline.drafts.record import Source, Statement
from pipeline.drafts.sources import Entry, Guide, nearest, quoted, told
from pipeline.drafts.writing import fit, quotation
from pipeline.records import Episode, Reading

_MOST_PAST = 5
_MOST_GUIDANCE = 2
_UNGROUNDED = "nothing measured and no guidance entry answers it"
# Words too common to tell what a text is about.
_COMMON = re.compile(
    r"about|after|against|also|because|been|before|being|could|does|doing|during|each|from|have|having|here|"
    r"helps?|into|itself|just|more|most|much|other|ought|person|should|some|such|than|that|their|them|then|"
    r"there|these|they|this|those|through|under|very|want|were|what|when|where|which|while|will|with|would|your"
)


@dataclass(frozen=True, slots=True)
class Known:
    """What can be told of a stream.

    state: of its samples. reading: the newest one. past: ended episodes, newest first.
    labels: all that the model knows. now: UTC seconds.
    """

    subject: str
    state: str
    reading: Reading | None
    running: Course | None
    past: Sequence[Episode]
    labels: tuple[str, ...]
    now: float


@dataclass(frozen=True, slots=True)
class Reply:
    """refused: why there is no answer, else empty. facts, sources: those that are cited."""

    question: str
    statements: tuple[Statement, ...]
    facts: tuple[Fact, ...]
    sources: tuple[Source, ...]
    refused: str
    withheld: tuple[str, ...] = ()


def answer(text: str, known: Known, guide: Guide) -> Reply:
    """Never raises on account of the question."""
    question = understand(text)
    if question.refused:
        return Reply(question.text, (), (), (), question.refused)
    facts = Facts()
    said: list[Statement] = []
    if question.signal:
        said += _signal(known, facts)
    if question.now:
        said += _now(known, facts)
    if question.past:
        said += _past(known, facts)
    withheld: list[str] = []
    entries: dict[str, Entry] = {}
    if question.advice or not said:
        found, withheld = _guidance(question, known, guide)
        entries = {entry.id: entry for entry in found}
        for fact in quoted(found):
            facts.add(fact)
        said += [quotation(entry) for entry in found]
    kept = [one for one in said if not faults(one, "answer", facts, entries)]
    if not kept:
        return Reply(question.text, (), (), (), _UNGROUNDED, tuple(withheld))
    cited = {fact for one in kept for fact in one.facts}
    sources = [entries[key] for one in kept for key in one.guidance]
    return Reply(
        question.text,
        tuple(kept),
        tuple(fact for fact in facts if fact.id in cited),
        tuple(Source(id=e.id, title=e.title, source=str(e.source)) for e in dict.fromkeys(sources)),
        "",
        tuple(withheld),
    )


def _now(known: Known, facts: Facts) -> list[Statement]:
    state = facts.add(words("now.state", "state of the stream", known.state))
    said = [_told(f"The stream is {state.text}.", state)]
    reading = known.reading
    if reading is None:
        return [*said, _told("Nothing has been read yet.")]
    at = facts.add(words("now.time", "end of the newest window", moment(reading.span.end)))
    age = facts.add(
        number("now.age", "age of the newest reading", max(known.now - reading.span.end, 0.0), "s")
    )
    if reading.label is None:
        said.append(_told(f"The newest reading, at {at.text}, {age.text} ago, got no label.", at, age))
    else:
        label = facts.add(words("now.label", "newest label", reading.label))
        p = facts.add(number("now.p", "its probability", 100 * reading.p[reading.label], "%", 1))
        text = f"The newest reading, at {at.text}, {age.text} ago, is {label.text}, its probability {p.text}."
        said.append(_told(text, at, age, label, p))
    if known.running is not None:
        episode = known.running.episode
        name = facts.add(words("running.label", "state of the running episode", episode.label))
        start = facts.add(words("running.start", "its start", moment(episode.start)))
        lasted = facts.add(number("running.seconds", "its length so far", episode.end - episode.start, "s"))
        said.append(
            _told(
                f"An episode of {name.text} has run since {start.text}, {lasted.text} so far.",
                name,
                start,
                lasted,
            )
        )
    return said


def _past(known: Known, facts: Facts) -> list[Statement]:
    if not known.past:
        return [_told("No episode of this subject has ended so far.")]
    said = []
    for n, episode in enumerate(known.past[:_MOST_PAST], 1):
        label = facts.add(words(f"past.{n}.label", "state of a past episode", episode.label))
        start = facts.add(words(f"past.{n}.start", "its start", moment(episode.start)))
        end = facts.add(words(f"past.{n}.end", "its end", moment(episode.end)))
        lasted = facts.add(number(f"past.{n}.seconds", "its length", episode.end - episode.start, "s"))
        text = f"An episode of {label.text} lasted {lasted.text}, from {start.text} to {end.text}."
        said.append(_told(text, label, lasted, start, end))
    return said


def _signal(known: Known, facts: Facts) -> list[Statement]:
    if known.reading is None:
        return []
    quality = facts.add(number("now.quality", "share of good channels", 100 * known.reading.quality, "%"))
    return [_told(f"In the newest window {quality.text} of the channels were good.", quality)]


def _guidance(question: Question, known: Known, guide: Guide) -> tuple[list[Entry], list[str]]:
    """Entries that speak of what was asked: a search always finds something, that alone grounds nothing."""
    found, withheld = fit(guide.search(question.text, k=6))
    asked = _stems(question.text) - {stem for label in known.labels for stem in _stems(label)}
    label = known.reading.label if known.reading is not None else None
    # A question about nothing but a state, such as "what helps against stress": the ranking has to do.
    fitting = nearest(found) if not asked else []
    for entry in found:
        shared = asked & _stems(f"{entry.title} {told(entry)}")
        if len(shared) >= max(1, -(-len(asked) // 2)):
            fitting.append(entry)
    if not fitting and question.now and label is not None:
        advising = guide.search(question.text, k=3, states=(label,), kinds=("recommendation",))
        fitting, more = fit(advising)
        withheld += more
    return fitting[:_MOST_GUIDANCE], withheld


def _stems(text: str) -> set[str]:
    """Beginnings of the words that carry meaning: inflection aside."""
    return {word[:5] for word in re.findall(r"[a-z]{4,}", text.lower()) if not _COMMON.fullmatch(word)}


def _told(text: str, *facts: Fact) -> Statement:
    return Statement(text=text, origin="measured", facts=tuple(fact.id for fact in facts))
