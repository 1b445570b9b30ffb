"""How identifiers look in a text: behind a title or a label, or by a form of their own.

The looks are those of the identifiers that HIPAA's safe harbour lists (45 CFR 164.514(b)(2)) and that have a
form: names behind a title or a label, full birth dates, record and insurance numbers, telephone numbers and
addresses of e-mail. A bare name in free text cannot be told from other words: `Parkinson` is one too.

Every repetition is bounded and short, so that a hostile text of 64 KB is read at once.
"""

from __future__ import annotations

import re

# What stands behind a title or a label in ordinary notes, and is nobody's name.
_WORDS = (
    "about|advised|after|agreed|also|and|angiography|anonymi[sz]ed|anonymous|appointments?|asked|aware|before|but|"
    "called|came|changed|confidential|consult|consultation|consulted|deleted|for|from|given|help|hidden|imaging|informed|"
    "kept|known|left|not|none|notified|office|omitted|ordered|prescribed|present|pseudo|pseudonym|recommended|"
    "redacted|referral|removed|reports?|reviewed|reviews?|saw|says|scans?|seen|sees|since|spectroscopy|stud(y|ies)|"
    "the|then|they|told|unknown|visited|visits?|with|withheld|without"
)
# Dr. Will, Mrs. Said and An Do are people: these are words only in lower case, or where all is in capitals.
_SHORT = (
    "a|am|an|as|at|be|by|can|did|do|does|had|has|have|he|if|in|is|it|may|my|no|of|on|or|pm|said|see|she|should|so|"
    "to|us|vs|was|we|were|who|will"
)
_NAMED = rf"(?!(?i:{_WORDS})\b)(?!({_SHORT}|{_SHORT.upper()})\b)"
_NAMED_IN_CAPITALS = rf"(?!({_WORDS.upper()}|{_SHORT.upper()})\b)"
_UPPER, _LOWER = "[A-ZÀ-ÖØ-Þ]", "[a-zß-öø-ÿ]"
_NAME = rf"{_UPPER}[\w'-]{{1,40}}"

# MR and ms are a scan and milliseconds, MS is a disease: titles only with a dot, before a word in capitals.
_TITLE = r"\b((?i:mrs|mx|dr|prof|herr|frau|mme|mlle|señora?|signora?)|Mr|Ms|Miss|MISS)(\. {0,2}| {1,2})"
_TITLE_IN_CAPITALS = r"\bM[RS]\. {0,2}"
# Before names in lower case. Not `Frau klagt`, nor `dr.lee`, which is somebody's login.
_LOWER_TITLE = r"\b([Mm]rs?\.?|[Mm]ister|[Dd]r\.?|[Pp]rof\.|[Mm]me|[Mm]lle|[Ss]eñora?|[Ss]ignora?) {1,2}"
_FULL_TITLE = r"\b(?i:mister|doctor|professor) {1,2}"

# The names of things are no secret.
_OF_THINGS = "".join(
    rf"(?<!(?i:{thing}) )"
    for thing in (
        "brand",
        "channel",
        "drug",
        "file",
        "generic",
        "medication",
        "product",
        "study",
        "test",
        "trade",
    )
)
_LABEL = rf"\b(?=[FNSVfnsv]){_OF_THINGS}(?i:(sur|fore|vor|nach|familien)?names?)"
_SAYS, _DASH = " {0,2}[:=] {0,2}", " {1,2}[–—-] {1,2}"

_BORN = r"\b(?i:born|dob|d\.o\.b|birth ?da(te|y)|date of birth|geb(oren)?)\b.{0,8}?\b"
# 3.4.1980 or 1980-04-03, 3 April 1980 or 3rd of April 1980, April 3, 1980.
_DAY, _MONTH = r"\d{1,2}(?i:\.|st|nd|rd|th)?", r"[A-Za-zÀ-ÿ]{3,9}\.?"
_DATE = (
    r"(\d{1,4} ?[./-] ?\d{1,2} ?[./-] ?\d{1,4}|"
    rf"{_DAY} (?i:of )?{_MONTH},? \d{{4}}|{_MONTH} {_DAY},? \d{{4}})"
)
_NUMBER_OF = (
    r"\b(?i:(mrn|medical record|patient[ -]?(id|no|number)|case ?(id|no|number)|nhs|ssn|insurance)\b|"
    r"(patient|case) ?#)[ .:#=–-]{0,4}(?i:no|number|id)?[ .:#=–-]{0,4}"
)
_PHONE = r"(\+\d|\b(?i:tel|telephone|phone|mobile|fax)\b( ?(?i:no|number|nr))?[ .:=#–-]{0,4}\(?\d)"

LOOKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(look))
    for what, look in (
        ("an e-mail address", r"[\w.+-]{1,64}@[\w-]{1,63}\.\w"),
        ("a name", rf"{_TITLE}{_NAMED_IN_CAPITALS}{_UPPER}\w"),
        ("a name", rf"{_TITLE_IN_CAPITALS}{_NAMED_IN_CAPITALS}{_UPPER}{{4}}"),
        ("a name", rf"{_LOWER_TITLE}{_NAMED}{_LOWER}{{2}}"),
        ("a name", rf"{_FULL_TITLE}{_NAMED}{_UPPER}({_LOWER}|{_UPPER}{{3}})"),
        ("a name", rf"{_LABEL}{_SAYS}{_NAMED}[^\W\d_][^\W\d_.]?"),
        ("a name", rf"{_LABEL}{_DASH}{_NAMED}{_UPPER}"),
        ("a name", rf"{_LABEL}(?i: is)? {{1,2}}{_NAMED_IN_CAPITALS}{_NAME} {_UPPER}"),
        ("a name", rf"\b(?i:patient|called){_SAYS}{_NAMED_IN_CAPITALS}{_NAME} {_NAMED_IN_CAPITALS}{_UPPER}"),
        ("a name", rf"\b(?i:patient){_SAYS}{_UPPER}{{4,40}}, {_UPPER}{_LOWER}"),
        # `Patient - EEG Normal`
        ("a name", rf"\b(?i:patient){_DASH}(?!{_UPPER}{{2,3}} ){_NAMED}{_NAME} {_NAMED}{_UPPER}"),
        ("a name", rf"\b([Pp]atient|[Cc]alled) is {{0,2}}{_NAME} {_UPPER}"),
        ("a birth date", _BORN + _DATE),
        ("a record number", _NUMBER_OF + r"[A-Za-z]{0,3}\d[\d -]{3}"),
        ("a social security number", r"\b\d{3}-\d{2}-\d{4}\b"),
        ("a telephone number", _PHONE + r"[\d ()/-]{6,20}\d"),
    )
)
