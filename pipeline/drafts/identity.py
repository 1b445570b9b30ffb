"""What would tell who a patient is: found by its key, or by the look of a value, and never repeated.

The looks are those of the identifiers that HIPAA's safe harbour lists (45 CFR 164.514(b)(2)) and that have a
form: names behind a title or a label, full birth dates, record and insurance numbers, telephone numbers and
addresses of e-mail. A bare name in free text cannot be told from other words: `Parkinson` is one too.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from pipeline.errors import PipelineError

_KEY = re.compile(
    r"identity|(first|last|given|family|full|patient)?names?|surname|forename|patient(id|number)?|mrn|ssn|"
    r"insurance(id|number)?|passport|address|street|city|zip|postcode|phone|telephone|mobile|e?mail|"
    r"birthdate|dateofbirth|dob|birthday|photo"
)
# 3.4.1980 or 1980-04-03, 3 April 1980, April 3, 1980.
_DATE = (
    r"(\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}\.? [A-Za-z]{3,9}\.? \d{4}|"
    r"[A-Z][a-z]{2,8}\.? \d{1,2},? \d{4})"
)
_TITLE = r"\b(Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herr|Frau|Mme|Mlle|Señora?|Signora?)\.? {1,2}"
_NAME_OF = r"\b([Nn]ame|[Pp]atient|[Ss]urname|[Cc]alled)( is|:|=) {0,2}"
_BORN = r"\b([Bb]orn|DOB|dob|[Bb]irth ?da(te|y)|[Dd]ate of birth|[Gg]eb(oren)?)\b.{0,8}?\b"
_NUMBER_OF = (
    r"\b(MRN|[Mm]edical record|[Pp]atient (id|ID|no|number)|[Cc]ase (no|number)|NHS|SSN|[Ii]nsurance)\b"
    r"[ .:#]{0,3}(no|number|id|ID)?[ .:#]{0,3}"
)
_LOOKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an e-mail address", re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.\w")),
    ("a name", re.compile(_TITLE + r"[A-ZÀ-Þ]\w")),
    ("a name", re.compile(_NAME_OF + r"[A-ZÀ-Þ][\w'-]{1,40} [A-ZÀ-Þ]")),
    ("a birth date", re.compile(_BORN + _DATE)),
    ("a record number", re.compile(_NUMBER_OF + r"[A-Z]{0,3}\d[\d -]{3}")),
    ("a social security number", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")),
    ("a telephone number", re.compile(r"(\+\d|\b([Tt]el|[Pp]hone|[Mm]obile)\b\.?:? {0,2}\d)[\d ()/-]{6,}\d")),
)


class ContextError(PipelineError):
    """A patient context that is not taken: one line that says why."""


def refuse_identity(raw: Any, known: Collection[str], where: str = "", under: str = "") -> None:
    """Raises ContextError where a key, at any depth, names a person, or a key or value looks as if it did.

    known: the keys that may be repeated; others may be names themselves. where: the known key around `raw`,
    empty where there is none. under: the key that holds `raw`: a medicine may have a name.
    """
    if isinstance(raw, dict):
        for key, value in raw.items():
            names_things = under in ("medication", "laboratory") and key == "name"
            if not names_things and _is_identity(key):
                raise ContextError(f"{_shown(key)}: people appear under a pseudonym only, leave it out")
            refuse_looks(str(key), f"{where}: a key" if where else "a key")
            refuse_identity(value, known, where or (key if key in known else ""), key)
    elif isinstance(raw, list):
        for item in raw:
            refuse_identity(item, known, where, under)
    elif isinstance(raw, str):
        refuse_looks(raw, where)


def refuse_looks(text: str, where: str) -> None:
    """Raises ContextError for a text that holds what looks like an identifier."""
    for what, look in _LOOKS:
        if look.search(text):
            raise ContextError(
                f"{where or 'a text'}: holds what looks like {what}: "
                "people appear under a pseudonym only, leave it out"
            )


def take_identity(raw: Any) -> tuple[Any, dict[str, str]]:
    """`raw` without the top-level keys that name a person, and what they held."""
    if not isinstance(raw, dict):
        return raw, {}
    found = {key: value for key, value in raw.items() if _is_identity(key) and isinstance(value, str)}
    return {key: value for key, value in raw.items() if key not in found}, found


def _is_identity(key: object) -> bool:
    return bool(_KEY.fullmatch("".join(letter for letter in str(key).lower() if letter.isalnum())))


def _shown(key: object) -> str:
    return "".join(letter for letter in str(key) if letter.isprintable())[:40]
