"""The folder of recordings: names for new ones, and whether there is room."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from daemon.recording_settings import Recording

_ODD = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST = 64  # characters of each part of a name


def safe(text: str) -> str:
    """A part of a file name, whatever the text holds: letters, digits, '-' and '_'."""
    return _ODD.sub("-", text)[:_LONGEST].strip("-") or "unnamed"


class Shelf:
    """Makes its folder, for this user alone. Raises OSError where it cannot be had."""

    def __init__(self, folder: Path, settings: Recording) -> None:
        self.folder = folder
        self.settings = settings
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, subject: str, stream: str, at: float) -> Path:
        """A name that is not taken. at: UTC, seconds since the Unix epoch."""
        when = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"{safe(subject)}_{safe(stream)}_{when}"
        number = 1
        while (path := self.folder / f"{name}{f'-{number}' if number > 1 else ''}.xdf").exists():
            number += 1
        return path

    def lack(self) -> str:
        """Why nothing may be written now, with what to do; empty where there is room."""
        used = sum(file.stat().st_size for file in self.folder.glob("*.xdf"))
        if used >= self.settings.max_gib * 2**30:
            return (
                f"recordings take {used / 2**30:.1f} GiB: move old ones out of {self.folder}, "
                "or raise recording.max_gib"
            )
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if free < self.settings.min_free_mib * 2**20:
            return (
                f"{free / 2**20:.0f} MiB are free on the disk of {self.folder}: make room, "
                "or lower recording.min_free_mib"
            )
        return ""
