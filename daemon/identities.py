"""Who is behind a pseudonym, where the configuration keeps it: in files of this node, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from daemon.errors import CommandError

FOLDER = "identities"


class Identities:
    """One file for each pseudonym, readable by the service's user alone. Nothing here is ever published."""

    def __init__(self, directory: Path) -> None:
        """directory: the state directory."""
        self._folder = directory / FOLDER

    def keep(self, subject: str, identity: Mapping[str, str]) -> None:
        """Replaces what was kept. subject: a checked pseudonym. Raises CommandError."""
        path = self._folder / f"{subject}.json"
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(msgspec.json.encode(dict(identity)) + b"\n")
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError as why:
            raise CommandError(f"the identity cannot be kept: {why.strerror}") from None
