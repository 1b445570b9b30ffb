"""The three sections that are written: what was measured in words, and advice that is quoted with its source.

A writer never has the last word: it chooses among sentences that are true already, and what it adds freely is
checked sentence by sentence like everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.drafts.check import NO_DISEASE, foreign
from pipeline.drafts.facts import NOTABLE, Fact, Facts
from pipeline.drafts.record import Statement
from pipeline.drafts.sources import Entry, Guide, nearest

# Deviations that are put into words, largest first: a reader remembers no more.
_MOST_DEVIATIONS = 4
_MOST_ADVICE = 3
_MOST_FOLLOW_UP = 2
# Found for a section: the retrieval decides what fits, the writer only in which order it stands.
_CANDIDATES = 4


class Writer(Protocol):
    """The model's part in the wording. name: told in the provenance."""

    @property
    def name(self) -> str: ...

    def choose(self, lead: str, alternatives: Sequence[str]) -> int:
        """Which of the alternatives goes on best after `lead`."""
        ...

    def compose(self, lead: str, facts: Sequence[str]) -> str:
        """Sentences of its own about the facts; empty where the model cannot write."""
        ...


@dataclass(frozen=True, slots=True)
class Pen:
    """A writer and the prompt that it goes on from: the same for all choices, so it is read only once."""

    writer: Writer
    lead: str

    def one_of(self, alternatives: Sequence[str]) -> str:
        return alternatives[self.writer.choose(self.lead, alternatives)]

    def ordered(self, alternatives: Sequence[str], most: int) -> Iterator[int]:
        """Positions of up to `most` alternatives, the best first."""
        left = list(range(len(alternatives)))
        while left and most:
            at = self.writer.choose(self.lead, [alternatives[i] for i in left]) if len(left) > 1 else 0
            most -= 1
            yield left.pop(at)


def diagnosis(facts: Facts, pen: Pen, limits: Sequence[Entry]) -> list[Statement]:
    """Of the measured state, never of a disease. limits: what such signals cannot tell, quoted."""
    said = [
        _opening(facts, pen),
        _shares(facts, pen),
        *_deviations(facts, pen),
        _reliability(facts, pen),
        Statement(text=NO_DISEASE, origin="generated"),
    ]
    said += [quotation(entry) for entry in limits]
    return said + _free(facts, pen)


def advice(entries: Sequence[Entry], pen: Pen, most: int) -> list[Statement]:
    """Recommendations word for word, in the order that the writer finds most fitting."""
    order = pen.ordered([entry.recommendation for entry in entries], most)
    return [quotation(entries[i]) for i in order]


def treatment(guide: Guide, label: str, pen: Pen) -> tuple[list[Statement], list[Entry], list[str]]:
    """Statements, the entries they cite, and what was withheld with the reason."""
    question = f"{label}: what helps, exercises, relaxation, support"
    found = guide.search(question, k=_CANDIDATES, states=(label,), kinds=("recommendation",))
    entries, withheld = fit([entry for entry in nearest(found) if entry.recommendation])
    return advice(entries, pen, _MOST_ADVICE), entries, withheld


def follow_up(
    guide: Guide, label: str, pen: Pen, used: Sequence[Statement]
) -> tuple[list[Statement], list[Entry], list[str]]:
    taken = {entry for statement in used for entry in statement.guidance}
    question = f"{label}: follow-up interval, repeat the recording, when to refer"
    found = guide.search(question, k=_CANDIDATES, states=(label,), kinds=("recommendation",))
    entries, withheld = fit([e for e in nearest(found) if e.recommendation and e.id not in taken])
    return advice(entries, pen, _MOST_FOLLOW_UP), entries, withheld


def fit(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Those that may be quoted, and why others may not."""
    good, withheld = [], []
    for entry in entries:
        if unfit := foreign(f"{entry.title} {entry.text} {entry.recommendation}"):
            withheld.append(f"guidance {entry.id} was withheld: it holds {unfit}")
        else:
            good.append(entry)
    return good, withheld


def quotation(entry: Entry) -> Statement:
    """Its advice; of an entry without one, the first sentence."""
    text = " ".join((entry.recommendation or _sentences(entry.text)[0]).split())
    return Statement(text=text, origin="guideline", facts=(f"guidance.{entry.id}",), guidance=(entry.id,))


def _opening(facts: Facts, pen: Pen) -> Statement:
    label, start, end, lasted = (facts[f"episode.{key}"] for key in ("label", "start", "end", "duration"))
    zero = "" if start.unit == "" else " after the recording's first sample"
    time = f"{start.text} to {end.text}{zero}"
    text = pen.one_of(
        [
            f"From {time}, for {lasted.text}, the model named the state {label.text}.",
            f"The model named the state {label.text} from {time}, for {lasted.text}.",
            f"State named by the model: {label.text}; from {time}; length {lasted.text}.",
        ]
    )
    return _generated(text, label, start, end, lasted)


def _shares(facts: Facts, pen: Pen) -> Statement:
    shares = [fact for fact in facts.under("share.") if fact.id != "share.unread"]
    unread = facts.get("share.unread")
    if unread is None:
        return _generated("The time was too short to tell shares of it.", facts["time.unread"])
    named = [(fact.id.removeprefix("share."), fact.text) for fact in shares]
    listed = ", ".join(f"{share} was read as {label}" for label, share in named)
    short = ", as ".join(f"{label}: {share}" for label, share in named)
    text = pen.one_of(
        [
            f"Of this time {listed}, and {unread.text} stayed without a label.",
            f"Read as {short}; without a label: {unread.text}.",
        ]
    )
    return _generated(text, *shares, unread)


def _deviations(facts: Facts, pen: Pen) -> list[Statement]:
    bands = [fact for fact in facts.under("band.") if fact.id.count(".") == 2]
    if not bands:
        return []
    notable = sorted((f for f in bands if abs(float(f.value)) >= NOTABLE), key=lambda f: -abs(float(f.value)))
    if not notable:
        least = facts["band.notable"]
        text = f"The band energy of the regions stayed within {least.text} of the person's own rest."
        return [_generated(text, least)]
    sentences = [f"{_place(fact)} activity was {fact.text}." for fact in notable[:_MOST_DEVIATIONS]]
    order = pen.ordered(sentences, _MOST_DEVIATIONS)
    return [_generated(sentences[i], notable[i]) for i in order]


def _place(fact: Fact) -> str:
    _, region, band = fact.id.split(".")
    return f"{region.capitalize()} {band}"


def _reliability(facts: Facts, pen: Pen) -> Statement:
    n, p, quality = facts["episode.readings"], facts["episode.p_mean"], facts["signal.quality"]
    text = pen.one_of(
        [
            f"This rests on {n.text} with a mean probability of {p.text}; {quality.text} of the channels "
            "were good on average.",
            f"Mean probability {p.text} over {n.text}; on average {quality.text} of the channels were good.",
        ]
    )
    return _generated(text, n, p, quality)


def _free(facts: Facts, pen: Pen) -> list[Statement]:
    """What the model adds; each sentence is held to the facts that it repeats."""
    measured = [fact for fact in facts if fact.origin == "measured" and not fact.id.startswith("stretch.")]
    text = pen.writer.compose(pen.lead, [f"{fact.name}: {fact.text}" for fact in measured])
    return [
        _generated(sentence, *(fact for fact in measured if fact.text in sentence))
        for sentence in _sentences(text)
    ]


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def _generated(text: str, *facts: Fact) -> Statement:
    return Statement(text=text, origin="generated", facts=tuple(fact.id for fact in facts))
