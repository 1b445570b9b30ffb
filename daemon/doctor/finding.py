"""What a check found, and the command that mends it."""

from __future__ import annotations

import subprocess  # nosec B404 (programs of the system, by fixed commands)
from typing import Literal

from msgspec import Struct

# unseen: it cannot be told from here, and the detail says who can.
Verdict = Literal["good", "warning", "bad", "unseen"]


class Finding(Struct, frozen=True):
    """check: what was looked at, always the same word. detail: one line. mend: a command, or empty."""

    check: str
    verdict: Verdict
    detail: str
    mend: str = ""


def ask(*command: str) -> str | None:
    """What a program of the system says; None where it is missing, fails or does not answer."""
    try:
        result = subprocess.run(  # nosec B603 (never a shell)
            command, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
