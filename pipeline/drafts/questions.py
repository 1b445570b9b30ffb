"""What a question is about, and whether it may be answered at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.drafts.check import names_disease
from pipeline.drafts.context import clean


def _words(*some: str) -> re.Pattern[str]:
    """Whole words, however they are written large or small."""
    return re.compile(rf"\b({'|'.join(some)})\b", re.IGNORECASE)


_DOSING = _words(
    r"dos(e|es|age|ing)|prescri\w+|milligrams?|mg|titrat\w+|over-?dose|tablets?|pills?",
    r"(which|what|how much|how many|any|give|increase|reduce|stop|start|change|switch|raise|lower)\b"
    r"[^?.]{0,40}\b(drugs?|medic\w+|benzodiazepin\w+|antidepress\w+|sedativ\w+|insulin)",
)
_DIAGNOSING = _words(
    r"(do|does|did|has|have|is|are|could|can|might|am)\b[^?.]{0,60}\b"
    r"(i|he|she|they|it|this|person|patient|subject|pseudo\S*)",
    r"suffer\w*",
    r"signs? of\b[^?.]{0,40}\b(this|him|her|patient|subject)",
)
_DIAGNOSE = _words(r"diagnos\w*", "what is wrong with", "what (disease|illness|disorder)")
_COMMANDING = _words(
    r"(ignore|disregard|forget|override)\b[^.?]{0,60}\b(above|previous|prior|instructions?|rules?|facts?)",
    "system prompt|pretend|you are now|act as|role-?play",
)
_NOW = _words(r"now|current\w*|present\w*|moment|feel\w*|state|doing|mood|stressed|calm|label|how is")
_PAST = _words(
    r"episodes?|past|before|earlier|last|previous\w*|yesterday|today|history|how (long|often|many)|so far",
    "been|was|were|when|during|since",
)
_SIGNAL = _words(r"signal|quality|electrodes?|channels?|contact|reliab\w+|trust|noise")
_ADVICE = _words(
    r"help\w*|should|recommend\w*|advi[cs]e\w*|what can|how can|how to|do about|why|explain",
    r"what (is|are|does)|mean\w*|guid\w+|technique\w*|exercise\w*|refer\w*",
)


@dataclass(frozen=True, slots=True)
class Question:
    """refused: why it is not answered, else empty. The rest: what it is about, if nothing else guidance."""

    text: str
    refused: str
    now: bool = False
    past: bool = False
    signal: bool = False
    advice: bool = False


def understand(text: str) -> Question:
    asked = clean(text)
    if not any(letter.isalpha() for letter in asked):
        return Question(asked, "there is no question in it")
    if _COMMANDING.search(asked):
        return Question(asked, "it holds instructions; only questions are answered")
    if _DOSING.search(asked):
        return Question(
            asked, "questions about medicines and doses are for a clinician, not for this program"
        )
    disease = names_disease(asked)
    if _DIAGNOSE.search(asked) or (disease and _DIAGNOSING.search(asked)):
        return Question(asked, "no disease can be told from these readings; that is for a clinician")
    now, past, signal = (bool(rule.search(asked)) for rule in (_NOW, _PAST, _SIGNAL))
    advice = bool(_ADVICE.search(asked)) or bool(disease) or not (now or past or signal)
    return Question(asked, "", now, past, signal, advice)
