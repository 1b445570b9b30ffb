"""The guidance base: short entries that an expert edits in TOML, each with the source it rests on."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.errors import GuidanceError

Kind = Literal["information", "recommendation", "safety", "limitation"]
KINDS: tuple[str, ...] = ("information", "recommendation", "safety", "limitation")
# The labels of the known label schemas.
_CALM_STRESS = {"calm", "stress"}
_FACED_9 = {"anger", "disgust", "fear", "sadness", "neutral", "amusement", "inspiration", "joy", "tenderness"}
_FACED_3 = {"positive", "neutral", "negative"}
STATES = frozenset(_CALM_STRESS | _FACED_9 | _FACED_3)
TEXT_WORDS = (40, 120)
RECOMMENDATION_WORDS = (5, 40)
# A topic file is some pages; a larger one was put here by mistake.
_FILE_LIMIT = 1 << 20

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_DOSE = re.compile(r"\d\s*(mg|mcg|µg|g|kg|ml|iu|units?|tablets?|drops)\b", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The public guideline or review that an entry rests on."""

    by: str
    """Organisation or authors."""
    title: str
    where: str
    """Number of the guideline, or journal and volume, or publisher."""
    year: int
    doi: str = ""

    @property
    def citation(self) -> str:
        doi = f" doi:{self.doi}" if self.doi else ""
        return f"{self.by}. {self.title}. {self.where}, {self.year}.{doi}"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One piece of guidance."""

    id: str
    """Stable: drafts that were signed cite it. Lower-case words joined by hyphens."""
    title: str
    kind: Kind
    states: tuple[str, ...]
    """Labels that the entry is about; empty where it holds for all."""
    tags: tuple[str, ...]
    """Words and short phrases by which the entry is found beside those of its text."""
    asked: tuple[str, ...]
    """How people ask for it, in their own words."""
    text: str
    """40 to 120 words."""
    recommendation: str = ""
    """What to do, in 5 to 40 words without digits: drafts quote it, and hold measured numbers only."""
    source: Source


def shipped_entries() -> Path:
    """The folder of entries that comes with the program."""
    return Path(str(resources.files("pipeline"))) / "guidance" / "entries"


def load_entries(folder: Path) -> tuple[Entry, ...]:
    """Every `*.toml` of the folder, by file name. Raises GuidanceError at the first thing that is wrong."""
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise GuidanceError(f"{folder}: no entries here, a guidance base is a folder of .toml files")
    found: dict[str, tuple[Entry, Path]] = {}
    for file in files:
        for entry in _read(file):
            if entry.id in found:
                raise GuidanceError(f"{file}: {entry.id}: id: also used in {found[entry.id][1].name}")
            found[entry.id] = entry, file
    return tuple(entry for entry, _ in found.values())


def fingerprint(entries: tuple[Entry, ...]) -> str:
    """sha256 of all that the entries say."""
    return hashlib.sha256(msgspec.json.encode(entries)).hexdigest()


def _read(file: Path) -> Iterator[Entry]:
    try:
        if file.stat().st_size > _FILE_LIMIT:
            raise GuidanceError(f"{file}: over {_FILE_LIMIT} bytes: split it by topic")
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise GuidanceError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GuidanceError(f"{file}: {error}") from error
    tables = content.pop("entry", None)
    if content or not isinstance(tables, list) or not tables:
        raise GuidanceError(f"{file}: holds [[entry]] tables and nothing else")
    for number, table in enumerate(tables, start=1):
        name = table.get("id", f"entry {number}") if isinstance(table, dict) else f"entry {number}"
        try:
            entry = msgspec.convert(_tidy(table), Entry)
        except msgspec.ValidationError as error:
            message, _, field = str(error).partition(" - at `$.")
            raise GuidanceError(f"{file}: {name}: {field.rstrip('`') or 'entry'}: {message}") from error
        for field, wrong in _faults(entry):
            raise GuidanceError(f"{file}: {name}: {field}: {wrong}")
        yield entry


def _tidy(value: object) -> object:
    """Line breaks inside a text are the editor's, not the entry's."""
    if isinstance(value, str):
        return re.sub(r"[ \t\r\n]+", " ", value).strip()
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    return value


def _faults(entry: Entry) -> Iterator[tuple[str, str]]:
    """What the types cannot say: field, and what is wrong with it."""
    if not _SLUG.fullmatch(entry.id) or len(entry.id) > 60:
        yield "id", "must be up to 60 lower-case letters, digits and single hyphens"
    if not 3 <= len(entry.title) <= 100:
        yield "title", f"must have 3 to 100 characters, has {len(entry.title)}"
    for state in entry.states:
        if state not in STATES:
            yield "states", f"{state!r} is no known label: {', '.join(sorted(STATES))}"
    for field, phrases in (("tags", entry.tags), ("asked", entry.asked)):
        if not phrases or not all(1 < len(phrase) <= 80 for phrase in phrases):
            yield field, "must name at least one word or phrase, each of 2 to 80 characters"
    yield from _length("text", entry.text, TEXT_WORDS)
    if entry.kind in ("recommendation", "safety") or entry.recommendation:
        yield from _length("recommendation", entry.recommendation, RECOMMENDATION_WORDS)
    if entry.kind == "information" and entry.recommendation:
        yield (
            "recommendation",
            "information recommends nothing: leave it out, or make the kind recommendation",
        )
    if re.search(r"\d", entry.recommendation):
        yield "recommendation", "must hold no digits: write small numbers as words"
    for field in ("text", "recommendation"):
        if _DOSE.search(getattr(entry, field)):
            yield field, "names a dose: guidance gives none"
    for field in ("by", "title", "where"):
        if len(getattr(entry.source, field)) < 2:
            yield f"source.{field}", "is missing"
    if not 1900 <= entry.source.year <= 2100:
        yield "source.year", f"{entry.source.year} is no year"
    if entry.source.doi and not _DOI.fullmatch(entry.source.doi):
        yield "source.doi", "must begin with 10. and hold no spaces; leave it out where it is not certain"
    if _CONTROL.search(msgspec.json.encode(entry).decode()) or _CONTROL.search(entry.text + entry.title):
        yield "text", "holds control characters"


def _length(field: str, text: str, bounds: tuple[int, int]) -> Iterator[tuple[str, str]]:
    words = len(text.split())
    if not bounds[0] <= words <= bounds[1]:
        yield field, f"must have {bounds[0]} to {bounds[1]} words, has {words}"
