"""Which unit of systemd runs a configuration, and its secrets; for verbs that root runs by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Program = Literal["node", "monitor", "reader"]

ETC = Path("/etc/eeg-copilot")
CREDENTIALS = Path("/run/credentials")
UNIT = "eeg-copilot.service"


def unit_of(file: Path, program: Program = "node") -> str:
    """`eeg-copilot@bed-2.service` for a node's /etc/eeg-copilot/bed-2.toml, else the one for all beds;
    `eeg-copilot-reader@2.service` for a reader's reader-2.toml.
    """
    if program == "monitor":
        return "eeg-copilot-monitor.service"
    if program == "reader":
        return f"eeg-copilot-reader@{file.stem.removeprefix('reader-')}.service"
    if file.resolve().parent != ETC or file.stem == "eeg-copilot":
        return UNIT
    return f"eeg-copilot@{file.stem}.service"


def see_as_the_service(file: Path, program: Program = "node") -> None:
    """Where the service runs, its secrets are at hand for root, as if we were it."""
    folder = CREDENTIALS / unit_of(file, program)
    if file.resolve().parent == ETC and os.access(folder, os.R_OK):
        os.environ.setdefault("CREDENTIALS_DIRECTORY", str(folder))
