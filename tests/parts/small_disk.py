"""A disk of few bytes, and filling it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A file system of its own at a folder that is made. size: as `20m`. Skips where nobody is root."""
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(disk: Path) -> Path:
    """Whatever room there is, taken by the file that is returned."""
    file = disk / "filler"
    with file.open("ab", buffering=0) as out:
        for size in (2**16, 2**12, 2**9, 1):
            with contextlib.suppress(OSError):
                while out.write(bytes(size)) == size:
                    pass
    return file
