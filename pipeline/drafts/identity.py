"""What would tell who a patient is: found by its key, or by the look of a value, and never repeated."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from pipeline.drafts.looks import LOOKS
from pipeline.errors import PipelineError

_KEY = re.compile(
    r"identity|(first|last|given|family|full|patient)?names?|surname|forename|patient(id|number)?|mrn|ssn|"
    r"insurance(id|number)?|passport|address|street|city|zip|postcode|phone|telephone|mobile|e?mail|"
    r"birthdate|dateofbirth|dob|birthday|photo"
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
    for what, look in LOOKS:
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
