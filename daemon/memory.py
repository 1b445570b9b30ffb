"""What this process takes of the machine's memory."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def rss_mib() -> float:
    """Resident memory of this process, MiB; its peak where /proc is not to be seen."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
