"""The words in which a measured state may be described, besides those of its facts.

Numbers and names can be held against facts; a sentence such as "this looks dangerous" has neither. So what
a model writes freely is held to this vocabulary: it has no word for more, for negation, or for judging.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = re.compile(r"[^\W\d_]+(?:'s)?")
_PLAIN = re.compile(
    r"a|an|the|this|these|that|which|it|its|of|in|on|at|from|to|for|with|without|by|as|and|while|during|over|"
    r"between|after|before|until|within|through|was|were|is|are|be|been|had|has|have|got|"
    r"person('s)?|own|rest|rests|time|times|state|states|named|read|readings?|labels?|model|lasted|long|length|"
    r"episodes?|began|begins?|started|starts?|ended|ends?|mean|average|averaged|probability|share|channels?|good|"
    r"electrodes?|activity|energy|bands?|regions?|above|below|compared|against|recording('s)?|first|sample|windows?|"
    r"spreads?|stayed|signal|eeg|reached|showed|measured|too|short|tell|shares",
    re.IGNORECASE,
)


def strange(text: str, evidence: Iterable[str]) -> list[str]:
    """Words of a text that neither this vocabulary nor the evidence holds."""
    known = {word.lower() for one in evidence for word in _WORDS.findall(one)}
    found = dict.fromkeys(word.lower() for word in _WORDS.findall(text))
    return [word for word in found if word not in known and not _PLAIN.fullmatch(word)]
