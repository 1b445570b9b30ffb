"""An independent reading of a draft: written without `pipeline.drafts.check`, from the JSON alone.

Every number is looked for among the values of the facts that its statement cites, rounded as written; every
advice among the guidance files themselves.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

_ENTRIES = Path(__file__).parents[2] / "pipeline" / "guidance" / "entries"
_TOKEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z|\d+(?:\.\d+)?")
_WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|twelve|hundred|half|third|quarter|twice|double|dozen)\b"
)
_ADVISING = ("treatment_plan", "follow_up")


@cache
def guideline(entry: str) -> str:
    """All words of a shipped entry, read from its file."""
    for file in sorted(_ENTRIES.glob("*.toml")):
        for found in tomllib.loads(file.read_text())["entry"]:
            if found["id"] == entry:
                return " ".join(f"{found['text']} {found.get('recommendation', '')}".split())
    return ""


def unsupported(draft: dict[str, Any]) -> list[str]:
    """Numbers that no cited fact holds, with their sentence."""
    facts = {fact["id"]: fact for fact in draft["facts"]}
    bad = []
    for section in draft["sections"]:
        for statement in section["statements"]:
            text = statement["text"]
            if statement["origin"] == "guideline":
                if text not in guideline(statement["guidance"][0]):
                    bad.append(f"no quotation: {text}")
                continue
            cited = [facts[fact] for fact in statement["facts"]]
            bad += [
                f"{match[0]}: {text}"
                for match in _TOKEN.finditer(text)
                if not any(_holds(fact, match[0], text[match.end() :]) for fact in cited)
            ]
            if statement["origin"] == "generated" and (word := _WORDS.search(text)):
                bad.append(f"{word[0]}: {text}")
    return bad


def unsourced(draft: dict[str, Any]) -> list[str]:
    """Statements that advise without a guideline that exists."""
    known = {source["id"] for source in draft["sources"]}
    bad = []
    for section in draft["sections"]:
        for statement in section["statements"]:
            advises = section["key"] in _ADVISING or statement["origin"] == "guideline"
            cites = statement["guidance"]
            if advises and not (cites and all(entry in known and guideline(entry) for entry in cites)):
                bad.append(statement["text"])
    return bad


def _holds(fact: dict[str, Any], token: str, behind: str) -> bool:
    value = fact["value"]
    if isinstance(value, str):
        return token in _TOKEN.findall(value)
    digits = len(token.partition(".")[2])
    if f"{abs(value):.{digits}f}" != token:
        return False
    unit = fact["unit"]
    if unit == "spreads" and fact["id"].count(".") == 2:
        side = "above" if value > 0 else "below" if value < 0 else "from"
        return behind.startswith(f" spreads {side} rest")
    return not unit or behind.startswith(f" {unit}")
