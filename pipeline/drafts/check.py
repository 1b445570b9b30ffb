"""The last look at what a draft says: what its evidence does not carry is cut, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.drafts.facts import Fact, Facts
from pipeline.drafts.lexicon import strange
from pipeline.drafts.record import Statement
from pipeline.drafts.sources import Entry, told

# A time, a date, or a number with the words behind it.
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z)?")
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:[.,]\d+)*)(?:\s?(%|[a-zµ]+(?: (?:above|below)\b)?))?", re.IGNORECASE)
_NUMBER_WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|"
    r"hundred|thousand|half|third|quarter|twice|thrice|double|triple|dozen|majority)\b",
    re.IGNORECASE,
)
# Words behind a number that make it another quantity.
_UNITS = re.compile(
    r"%|s|ms|sec|seconds?|min|minutes?|h|hours?|days?|weeks?|months?|years?|hz|µv|percent|spreads|readings|"
    r"windows|channels|stretches"
)
# Anything that looks like a name: capitals inside a sentence, and letters with digits.
_NAME = re.compile(r"(?<![.!?:;]\s)(?<!^)\b([A-Z][\w-]*|[A-Za-z]+\d+\w*)\b")
_KNOWN_NAMES = frozenset({"EEG", "UTC", "I"})
_ADVICE = re.compile(
    r"\b(should|must|recommend\w*|advis\w*|suggest\w*|consider|avoid|try|needs? to|ought|prescri\w*|"
    r"treat(ed|ment)? with|start(ed)? on|increase|reduce|practise|practice)\b",
    re.IGNORECASE,
)
_DOSE = re.compile(
    r"\b\d+(?:[.,]\d+)?\s?(?:mg|mcg|µg|ug|ml|cc|iu|tablets?|pills?|capsules?|drops)\b|\bprescribe\b|\badminister\b",
    re.IGNORECASE,
)
_DISEASE = re.compile(
    r"\b(depress(ion|ive)|anxiety|bipolar|schizo\w*|psychos[ie]s|psychotic|epilep\w*|seizures?|ptsd|post-?traumatic|"
    r"dementia|alzheimer\w*|parkinson\w*|adhd|autis\w*|insomnia|burn-?out|disorders?|disease|syndrome|stroke|"
    r"tumou?rs?|encephal\w*|panic|phobia\w*|addiction|suicid\w*|diagnos(is|ed|es) (of|with|as))\b",
    re.IGNORECASE,
)
# The one sentence about disease that is true of every draft.
NO_DISEASE = "This describes a state of the signal; it names no disease."
_COMMANDS = re.compile(
    r"\b(ignore|disregard|forget)\b[^.]{0,40}\b(above|previous|prior|instructions?|rules?)\b|"
    r"\bsystem prompt\b|\byou are now\b|\bas an ai\b|<\s*/?\s*(script|system)",
    re.IGNORECASE,
)
# Sections in which whatever is said is advice.
ADVISING = frozenset({"treatment_plan", "follow_up"})


def faults(statement: Statement, key: str, facts: Facts, entries: Mapping[str, Entry]) -> list[str]:
    """Why the statement may not stand in section `key`; empty where it may."""
    missing = [fact for fact in statement.facts if fact not in facts]
    missing += [entry for entry in statement.guidance if entry not in entries]
    if missing:
        return [f"cites {', '.join(missing)}, which is not there"]
    cited = [facts[fact] for fact in statement.facts]
    evidence = [fact.text for fact in cited] + [told(entries[entry]) for entry in statement.guidance]
    found = [*_numbers(statement.text, evidence), *_names(statement.text, evidence)]
    if statement.origin in ("generated", "guideline"):
        found += _conduct(statement, key)
    if statement.origin == "generated":
        found += _topics(statement.text, cited)
        found += _words(statement, cited)
    if statement.origin == "guideline" and not any(
        statement.text in told(entries[e]) for e in statement.guidance
    ):
        found.append("is no quotation of what it cites")
    return found


def foreign(text: str) -> str:
    """What makes a guidance text unfit to be quoted: dosing, or words meant for a machine. Else empty."""
    if match := _DOSE.search(text):
        return f"dosing ({match[0]})"
    if _COMMANDS.search(text):
        return "instructions to a machine"
    return ""


def names_disease(text: str) -> str:
    """The first disease that a text names, else empty."""
    match = _DISEASE.search(text.replace(NO_DISEASE, ""))
    return match[0] if match else ""


def quantities(text: str) -> set[tuple[str, str]]:
    """Every number with its unit (empty where none follows); times whole."""
    found = {(match[0], "") for match in _TIME.finditer(text)}
    for match in _NUMBER.finditer(_TIME.sub(" ", text)):
        unit = (match[2] or "").lower()
        found.add((match[1], unit if _UNITS.fullmatch(unit.split(" ")[0]) else ""))
    return found


def _numbers(text: str, evidence: list[str]) -> list[str]:
    known = set[tuple[str, str]]().union(*(quantities(one) for one in evidence))
    plain = {number for number, _ in known}
    bad = [
        f"{number} {unit}".strip()
        for number, unit in sorted(quantities(text))
        if ((number, unit) not in known if unit else number not in plain)
    ]
    together = " ".join(evidence).lower()
    bad += [word[0] for word in _NUMBER_WORDS.finditer(text) if word[0].lower() not in together]
    return [f"no fact holds {', '.join(bad)}"] if bad else []


def _names(text: str, evidence: list[str]) -> list[str]:
    together = " ".join(evidence)
    known = set(re.findall(r"[\w-]+", together)) | _KNOWN_NAMES
    rest = _TIME.sub(" ", text)
    bad = sorted({name for name in _NAME.findall(rest) if name not in known})
    return [f"names {', '.join(bad)}, which no fact does"] if bad else []


def _conduct(statement: Statement, key: str) -> list[str]:
    found = []
    if unfit := foreign(statement.text):
        found.append(f"holds {unfit}")
    advises = key in ADVISING or bool(_ADVICE.search(statement.text))
    if advises and not statement.guidance:
        found.append("advises without a source")
    if statement.origin == "generated" and (disease := names_disease(statement.text)):
        found.append(f"names a disease ({disease})")
    return found


def _words(statement: Statement, cited: list[Fact]) -> list[str]:
    """A sentence about nothing measured, or in words that say more than was measured."""
    if statement.text == NO_DISEASE:
        return []
    if not cited:
        return ["rests on no fact"]
    words = strange(_TIME.sub(" ", statement.text), [f"{fact.name} {fact.text}" for fact in cited])
    return [f"uses words that no fact holds ({', '.join(words[:5])})"] if words else []


def _topics(text: str, cited: list[Fact]) -> list[str]:
    """A number belongs to what it was measured of: 80 % calm is not 80 % stress."""
    said = text.lower()
    found = []
    for number, unit in quantities(text):
        owners = [fact for fact in cited if (number, unit) in quantities(fact.text)]
        topics = [_topic(fact) for fact in owners]
        if topics and not any(all(word in said for word in topic) for topic in topics):
            found.append(f"says {number} {unit} of something else")
    return found


def _topic(fact: Fact) -> tuple[str, ...]:
    """Words that a sentence has to hold in order to speak of a fact."""
    kind, *rest = fact.id.split(".")
    if kind in ("share", "time"):
        return ("label",) if rest == ["unread"] else (rest[0].lower(),)
    if kind == "band" and len(rest) == 2:
        return (rest[0], rest[1])
    return ()
