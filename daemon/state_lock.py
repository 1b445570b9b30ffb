"""One daemon a state directory."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from daemon.errors import OutboxError


def lock(directory: Path) -> TextIO:
    """Makes the directory where it is missing, for this user alone. Closing the file gives it back.

    Raises OutboxError where the directory cannot be used or another daemon uses it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = (directory / "outbox.lock").open("w")
    except OSError as why:
        raise OutboxError(f"state directory {directory}: {why.strerror}: set [state] directory") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise OutboxError(
            f"state directory {directory} is in use by another eeg-copilot: stop it, or set another "
            "[state] directory"
        ) from None
    return held
